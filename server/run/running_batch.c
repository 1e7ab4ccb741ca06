/* Running batches. */
#include "running_batch.h"

#include "pool.h"
#include "running_more.h"
#include "running_pieces.h"
#include "server/base/clock.h"
#include "server/base/metrics.h"
#include "server/codec/slide.h"
#include "stream.h"

#include <stdlib.h>
#include <string.h>

/* A chunk takes about this time, so that other requests can join soon. But it has at least this number of row-steps, so
   that the product of inputs and weights is worth reading the weights. */
enum { CHUNK_NS = 2000000, CHUNK_LEAST_ROW_STEPS = 16 };

/* Rows that run to their end together have at most this many timesteps in all, to bound their memory (a single row may
   have more). */
enum { WHOLE_ROW_STEPS = 16384 };

/* The time for which a prediction keeps its slots while others wait for slots. A stream may be endless, so its slice is
   short. Most other predictions finish within their slice, so that they keep their order. */
enum { SLICE_NS = 100000000, STREAM_SLICE_NS = 20000000 };

bool running_batch_accepts(const struct running_batch *running, const struct prediction *p)
{
    return running->model == p->batch.model && running->sequences == p->batch.sequences;
}

void running_batch_begin(struct running_batch *running, const struct prediction *p)
{
    const struct graph *graph = &p->batch.model->graph;
    running->next = NULL;
    running->model = p->batch.model;
    running->sequences = p->batch.sequences;
    running->in_chunks = graph->divisible && graph->n_inputs == 1 && graph->n_outputs == 1;
    running->streams = p->request->stream;
    running->first = NULL;
    running->last = &running->first;
    running->n = 0;
    running->starts_ns = 0;
    running->share = (struct memory_share){.memory = p->request->memory.memory};
}

struct running_batch *running_batch_open(const struct prediction *p, size_t room)
{
    struct running_batch *running = calloc(1, sizeof *running);
    if (!running)
        return NULL;
    running_batch_begin(running, p);
    running->room = room;
    running->slots = calloc(room, sizeof *running->slots);
    running->rows = calloc(room, sizeof *running->rows);
    running->order = calloc(room, sizeof *running->order);
    if (running->slots && running->rows && running->order && running_more_open(running))
        return running;
    running_batch_close(running);
    return NULL;
}

void running_batch_close(struct running_batch *running)
{
    free(running->slots);
    free(running->rows);
    free(running->order);
    running_more_close(running);
    free(running->floats);
    free(running->masks);
    free(running->views);
    memory_give(&running->share, running->share.bytes);
    free(running);
}

void running_batch_add(struct running_batch *running, struct prediction *p)
{
    p->next = NULL;
    p->slots_since_ns = 0;
    *running->last = p;
    running->last = &p->next;
}

/* ---- the rows in slots ---- */

static void free_slots(struct running_batch *running, const struct prediction *p)
{
    size_t kept = 0;
    for (size_t i = 0; i < running->n; i++)
        if (running->slots[i].owner != p)
            running->slots[kept++] = running->slots[i];
        else
            p->batch.progress[running->slots[i].b].placed = false;
    running->n = kept;
}

/* Remove the predictions that are done, that have failed, or whose stream must wait for its reader, with their rows. */
static struct prediction *remove_done(struct running_batch *running)
{
    struct prediction *out = NULL, **out_last = &out, **at = &running->first, *p;
    while ((p = *at)) {
        bool over = p->failure.status || p->finished == p->batch.n_rows;
        if (!over && !(p->request->stream && stream_is_full(p->request->stream))) {
            at = &p->next;
            continue;
        }
        if (p->finished < p->batch.n_rows)
            free_slots(running, p);
        *at = p->next;
        p->next = NULL;
        *out_last = p;
        out_last = &p->next;
    }
    running->last = at;
    return out;
}

/* Admit one row of each prediction in turn, so that a small prediction need not wait for the end of a large one. */
static void admit_rows(struct running_batch *running, int64_t now)
{
    size_t row_steps = 0;
    for (bool more = true; more && running->n < running->room;) {
        more = false;
        for (struct prediction *p = running->first; p && running->n < running->room; p = p->next) {
            while (p->admitted < p->batch.n_rows &&
                   (p->batch.progress[p->admitted].placed || batch_row_is_done(&p->batch, p->admitted)))
                p->admitted++; /* the row has a slot, or had one before */
            if (p->admitted == p->batch.n_rows)
                continue;
            row_steps += p->batch.rows[p->admitted].timesteps;
            if (!running->in_chunks && running->n && row_steps > WHOLE_ROW_STEPS)
                return;
            p->batch.progress[p->admitted].placed = true;
            running->slots[running->n++] = (struct row_slot){.owner = p, .b = p->admitted++};
            p->slots_since_ns = p->slots_since_ns ? p->slots_since_ns : now;
            more = true;
        }
    }
}

static bool slice_is_over(const struct running_batch *running, const struct prediction *p, int64_t now)
{
    return p->slots_since_ns && now - p->slots_since_ns >= (running->streams ? STREAM_SLICE_NS : SLICE_NS);
}

/* Remove up to `most` predictions whose slice is over, and free their slots. */
static struct prediction *preempt(struct running_batch *running, int64_t now, size_t most)
{
    struct prediction *out = NULL, **out_last = &out, **at = &running->first, *p;
    while (running->in_chunks && (p = *at)) {
        if (!most || !slice_is_over(running, p, now)) {
            at = &p->next;
            continue;
        }
        free_slots(running, p);
        p->admitted = 0;
        *at = p->next;
        p->next = NULL;
        *out_last = p;
        out_last = &p->next;
        most--;
    }
    running->last = running->in_chunks ? at : running->last;
    return out;
}

struct prediction *running_batch_preempt(struct running_batch *running, size_t most)
{
    return preempt(running, clock_ns(), most);
}

/* If a prediction has no slot at all, the predictions whose slice is over are moved behind it. */
static void rotate_slots(struct running_batch *running, int64_t now)
{
    const struct prediction *waiting = running->n == running->room ? running->first : NULL;
    while (waiting && waiting->slots_since_ns)
        waiting = waiting->next;
    struct prediction *next, *p = waiting ? preempt(running, now, SIZE_MAX) : NULL;
    if (!p)
        return;
    for (; p; p = next) {
        next = p->next;
        running_batch_add(running, p);
    }
    admit_rows(running, now);
}

static bool is_stopped(struct prediction *p)
{
    return p->failure.status || prediction_stops(p);
}

/* graph_run calls this while rows run to their end. */
static bool all_are_stopped(void *context)
{
    const struct running_batch *running = context;
    for (size_t i = 0; i < running->n; i++)
        if (!is_stopped(running->slots[i].owner))
            return false;
    return true;
}

/* ---- a chunk ---- */

/* The number of timesteps of a chunk, the same for all rows. If rows take their own output as input, it is 1. */
static size_t chunk_steps(const struct running_batch *running)
{
    double ns = graph_step_ns(&running->model->graph, running->n) + 1;
    size_t least = (CHUNK_LEAST_ROW_STEPS + running->n - 1) / running->n, steps = (size_t)(CHUNK_NS / ns);
    for (size_t i = 0; i < running->n; i++)
        if (slot_rolls(&running->slots[i]))
            return least;
    return steps > least ? steps : least;
}

/* The number of timesteps of a row in this chunk: bounded by its remaining timesteps, by `most`, and by the size of an
   event of its stream. */
static size_t slot_steps(const struct row_slot *slot, size_t most)
{
    const struct batch *batch = &slot->owner->batch;
    size_t left = batch->rows[slot->b].timesteps - batch->progress[slot->b].done;
    if (slot->owner->request->stream) {
        size_t event = stream_event_steps(slot->owner, slot->b);
        most = event < most ? event : most;
    }
    return left < most ? left : most;
}

/* The timesteps of a row's sequence in this chunk. */
static void cut_sequence(struct row_slot *slot, struct rnn_row *row, size_t most)
{
    const struct batch *batch = &slot->owner->batch;
    size_t done = batch->progress[slot->b].done;
    row->inputs += done * row->input_stride;
    if (row->mask)
        row->mask += done * row->mask_stride;
    row->timesteps = slot->steps = slot_steps(slot, most);
}

/* The last output of the row. */
static void cut_rolling(struct row_slot *slot, struct rnn_row *row)
{
    const struct rollout *rollout = &slot->owner->rollout;
    size_t width = slot->owner->batch.model->graph.inputs[0].shape.width;
    row->inputs = rollout->feedback + slot->b * width;
    row->input_stride = width;
    row->mask = NULL;
    row->timesteps = slot->steps = 1;
}

/* Set up the rows of this chunk. Returns the number of floats of inputs and outputs that must be copied. */
static size_t cut_rows(struct running_batch *running)
{
    const struct graph *graph = &running->model->graph;
    size_t most = running->in_chunks ? chunk_steps(running) : SIZE_MAX, copies = 0;
    for (size_t i = 0; i < running->n; i++) {
        struct row_slot *slot = &running->slots[i];
        const struct batch *batch = &slot->owner->batch;
        const struct row_progress *progress = &batch->progress[slot->b];
        struct rnn_row *row = &running->rows[i];
        *row = batch->rows[slot->b];
        row->stepped = progress->stepped;
        if (slot_rolls(slot))
            cut_rolling(slot, row);
        else
            cut_sequence(slot, row, most);
        bool in_pieces = prediction_in_pieces(slot->owner), by_chunk = running->in_chunks && batch->output.sequence;
        if (in_pieces)
            slot->vectors = slot_gives_steps(slot) ? slot->steps : 1;
        else
            slot->vectors = by_chunk ? slot->steps : batch->steps[slot->b];
        if (by_chunk && !in_pieces)
            row->outputs += (ptrdiff_t)progress->done * row->output_stride;
        copies += (graph->inputs_anywhere ? 0 : slot->steps * graph->inputs[0].shape.width) +
                  (graph->outputs_anywhere && !in_pieces ? 0 : slot->vectors * graph->outputs[0].shape.width);
    }
    return copies + running_more_floats(running);
}

static bool grow_block(struct running_batch *running, void **block, size_t *room, size_t count, size_t size)
{
    size_t bytes;
    if (count <= *room && *block)
        return true;
    void *grown = rnn_size_mul(count ? count : 1, size, &bytes)
                      ? memory_realloc(&running->share, *block, *room * size, bytes)
                      : NULL;
    if (!grown)
        return false;
    *block = grown;
    *room = count;
    return true;
}

static bool grow_scratch(struct running_batch *running, const struct graph_work *work, size_t copies)
{
    size_t floats;
    void *block = running->floats;
    bool good = rnn_size_add(work->floats, copies, &floats) &&
                grow_block(running, &block, &running->floats_room, floats, sizeof *running->floats);
    running->floats = block;
    block = running->masks;
    good = good && grow_block(running, &block, &running->masks_room, work->masks, 1);
    running->masks = block;
    block = running->views;
    good = good && grow_block(running, &block, &running->views_room, work->views, sizeof *running->views);
    running->views = block;
    return good;
}

/* Whether a row's outputs are written where the request wants them. */
static bool writes_in_place(const struct running_batch *running, const struct row_slot *slot)
{
    return running->model->graph.outputs_anywhere && !prediction_in_pieces(slot->owner);
}

/* If the model needs contiguous rows, or if outputs are taken chunk by chunk: copy the inputs one after the other, and
   place the outputs behind them. Returns the beginning of the outputs. */
static float *copy_inputs(struct running_batch *running, float *at)
{
    const struct graph *graph = &running->model->graph;
    for (size_t i = 0; !graph->inputs_anywhere && i < running->n; i++) {
        struct rnn_row *row = &running->rows[i];
        size_t floats = row->timesteps * graph->inputs[0].shape.width;
        memcpy(at, row->inputs, floats * sizeof *at);
        row->inputs = at;
        at += floats;
    }
    at = running_more_copy_inputs(running, at);
    float *outputs = at;
    for (size_t i = 0; i < running->n; i++) {
        if (writes_in_place(running, &running->slots[i]))
            continue;
        running->rows[i].outputs = at;
        if (prediction_in_pieces(running->slots[i].owner))
            running->rows[i].output_stride = (ptrdiff_t)graph->outputs[0].shape.width;
        at += running->slots[i].vectors * graph->outputs[0].shape.width;
    }
    return outputs;
}

/* Copy the outputs from `at` to the memory of the requests. */
static void copy_outputs(struct running_batch *running, const float *at)
{
    for (size_t i = 0; i < running->n; i++) {
        struct row_slot *slot = &running->slots[i];
        const struct batch *batch = &slot->owner->batch;
        if (writes_in_place(running, slot))
            continue;
        size_t floats = slot->vectors * running->model->graph.outputs[0].shape.width;
        bool by_chunk = running->in_chunks && batch->output.sequence;
        if (prediction_in_pieces(slot->owner))
            running_take_pieces(running, slot, at);
        else
            memcpy(batch->rows[slot->b].outputs + (by_chunk ? batch->progress[slot->b].done * batch->output.width : 0),
                   at, floats * sizeof *at);
        at += floats;
    }
}

/* Returns false if the run was stopped. */
static bool run_chunk(struct running_batch *running, struct worker *worker, const struct graph_work *work)
{
    const struct graph *graph = &running->model->graph;
    struct pool *pool = worker->pool;
    struct team team, *helpers = NULL;
    float *copies = running->floats + work->floats;
    if (pool && pool->n_workers > 1) {
        team_open(&team, &pool->host, pool->n_workers);
        helpers = &team;
    }
    const struct graph_run run = {.sequences = running->sequences,
                                  .work = *work,
                                  .floats = running->floats,
                                  .masks = running->masks,
                                  .views = running->views,
                                  .order = running->order,
                                  .more_inputs = running->more_inputs,
                                  .more_outputs = running->more_outputs,
                                  .arena = &worker->arena,
                                  .team = helpers,
                                  .stop = running->in_chunks ? NULL : all_are_stopped,
                                  .stop_context = running};
    const float *outputs = copy_inputs(running, copies);
    bool whole = graph_run(graph, &run, running->rows, running->n);
    if (helpers)
        team_close(helpers);
    if (whole) {
        copy_outputs(running, outputs);
        running_more_copy_outputs(running);
    }
    return whole;
}

/* A finished row is admitted again if it has another window to run. */
static void leave_slot(const struct row_slot *slot)
{
    struct prediction *p = slot->owner;
    p->batch.progress[slot->b].placed = false;
    if (!p->batch.slide || !slide_next(&p->batch, slot->b))
        p->finished++;
    else if (slot->b < p->admitted)
        p->admitted = slot->b;
}

/* Move every row forward, and charge its prediction for the timesteps. Rows at their end free their slots. */
static void count_progress(struct running_batch *running, int64_t took_ns)
{
    size_t kept = 0, row_steps = 0;
    for (size_t i = 0; i < running->n; i++)
        row_steps += running->slots[i].steps;
    for (size_t i = 0; i < running->n; i++) {
        struct row_slot *slot = &running->slots[i];
        struct row_progress *progress = &slot->owner->batch.progress[slot->b];
        progress->done += slot_rolls(slot) ? 0 : slot->steps;
        progress->stepped |= running->rows[i].taken > 0;
        slot->owner->cost_ns += (double)took_ns * (double)slot->steps / (double)row_steps;
        if (batch_row_is_done(&slot->owner->batch, slot->b))
            leave_slot(slot);
        else
            running->slots[kept++] = *slot;
    }
    running->n = kept;
}

static void fail_all(struct running_batch *running)
{
    for (size_t i = 0; i < running->n; i++)
        failure_overloaded(&running->slots[i].owner->failure);
}

struct prediction *running_batch_remove_stopped(struct running_batch *running)
{
    for (struct prediction *p = running->first; p; p = p->next)
        is_stopped(p);
    return remove_done(running);
}

struct prediction *running_batch_advance(struct running_batch *running, struct worker *worker, struct metrics *metrics)
{
    struct graph_work work = {.floats = 0};
    int64_t began = clock_ns();
    admit_rows(running, began);
    rotate_slots(running, began);
    if (!running->n)
        return remove_done(running);
    metrics_batch(metrics, running->model->name, running->n);
    size_t copies = cut_rows(running);
    running_more_look(running);
    /* the model may have been loaded after the start of the worker */
    if (!arena_reserve(&worker->arena, running->model->scratch_bytes) ||
        !graph_work(&running->model->graph, running->rows, running->more_inputs, running->n, running->sequences,
                    &worker->arena, &work) ||
        !grow_scratch(running, &work, copies))
        fail_all(running);
    else if (run_chunk(running, worker, &work))
        count_progress(running, clock_ns() - began);
    return remove_done(running);
}
