/* What a worker does with the requests it has taken: decode them, let their rows run together, encode the answers. */
#ifndef SERVER_RUN_SCHEDULE_H
#define SERVER_RUN_SCHEDULE_H

#include "request.h"

/* The run function of requests' tasks. Returns when all the requests that the worker has taken are answered. */
void schedule_run(struct task *task, struct worker *worker);

/* One request alone, without a pool. */
void schedule_alone(struct request *request, struct worker *worker);

#endif
