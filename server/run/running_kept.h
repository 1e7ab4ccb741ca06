/* The buffers of a running batch that has ended, kept by its worker for the next one: most running batches of small requests
   live for one request. */
#ifndef SERVER_RUN_RUNNING_KEPT_H
#define SERVER_RUN_RUNNING_KEPT_H

#include "running_batch.h"

/* A worker keeps a batch's scratch up to this size beside the account of requests. */
enum { RUNNING_KEPT_BYTES = 1 << 18 };

/* As running_batch_open, in what the worker has kept, if that fits. */
struct running_batch *running_kept_open(struct worker *worker, const struct prediction *p, size_t room);

/* As running_batch_close; the worker keeps what fits. */
void running_kept_close(struct worker *worker, struct running_batch *running);

#endif
