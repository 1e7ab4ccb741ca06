/* Processes the requests of a worker: decodes them, runs their rows together, encodes the answers. */
#ifndef SERVER_RUN_SCHEDULE_H
#define SERVER_RUN_SCHEDULE_H

#include "request.h"

/* The run function of requests' tasks. Returns when all requests that the worker has taken are answered. */
void schedule_run(struct task *task, struct worker *worker);

/* Process one request alone, without a pool. */
void schedule_alone(struct request *request, struct worker *worker);

#endif
