/* Passes buffers from one running batch of a worker to the next. */
#include "running_kept.h"

#include "pool.h"

#include <stdlib.h>

static void free_scratch(struct running_batch *running)
{
    free(running->floats);
    free(running->masks);
    free(running->views);
    running->floats = NULL;
    running->masks = NULL;
    running->views = NULL;
    running->floats_room = running->masks_room = running->views_room = 0;
}

static void close_kept(void *kept)
{
    running_batch_close(kept);
}

struct running_batch *running_kept_open(struct worker *worker, const struct prediction *p, size_t room)
{
    const struct graph *graph = &p->batch.model->graph;
    struct running_batch *running = worker->kept;
    if (!running || running->room != room || graph->n_inputs > 1 || graph->n_outputs > 1)
        return running_batch_open(p, room);
    worker->kept = NULL;
    running_batch_begin(running, p);
    if (!memory_take(&running->share, running->kept_bytes))
        free_scratch(running);
    return running;
}

/* Kept buffers are not counted in the account of requests. */
void running_kept_close(struct worker *worker, struct running_batch *running)
{
    if (!worker->pool || worker->kept || running->more_inputs || running->more_outputs) {
        running_batch_close(running);
        return;
    }
    if (running->share.bytes > RUNNING_KEPT_BYTES) {
        free_scratch(running);
        memory_give(&running->share, running->share.bytes);
    }
    running->kept_bytes = running->share.bytes;
    memory_give(&running->share, running->share.bytes);
    worker->kept = running;
    worker->close_kept = close_kept;
}
