/* The buffers of a running batch that has ended, kept by its worker for the next one: most running batches of small requests
   live for one request. */
#ifndef SERVER_RUN_RUNNING_KEPT_H
#define SERVER_RUN_RUNNING_KEPT_H

#include "running_batch.h"

/* A worker keeps buffers up to this size; they are not counted in the account of requests. */
enum { RUNNING_KEPT_BYTES = 1 << 18 };

/* The same as running_batch_open, but uses the kept buffers if they fit. */
struct running_batch *running_kept_open(struct worker *worker, const struct prediction *p, size_t room);

/* The same as running_batch_close, but the worker keeps buffers that fit. */
void running_kept_close(struct worker *worker, struct running_batch *running);

#endif
