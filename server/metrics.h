/* Counters and histograms, and their Prometheus text. */
#ifndef SERVER_METRICS_H
#define SERVER_METRICS_H

#include "buffer.h"

#include <pthread.h>
#include <stdint.h>

struct server;
struct request;
struct route;

enum { METRICS_BUCKETS = 16, METRICS_ROUTES = 24 };

struct histogram {
    uint64_t counts[METRICS_BUCKETS + 1]; /* the last: above every bound */
    double sum;
};

/* Requests by route, model and status. */
struct request_count {
    const struct route *route;
    const char *model; /* borrowed; "" where none was found */
    int status;
    uint64_t count;
};

struct metrics {
    pthread_mutex_t lock; /* guards all below; no other lock is taken under it */
    struct request_count *requests;
    size_t n_requests;
    struct histogram durations[METRICS_ROUTES];
    struct histogram queue_wait, compute, batch_rows;
    uint64_t rows, timesteps;
    double started;
};

void metrics_init(struct metrics *metrics);

/* Count a finished request. */
void metrics_request(struct metrics *metrics, const struct request *request);

/* Count one run of rows side by side. */
void metrics_batch(struct metrics *metrics, size_t rows);

/* Everything in Prometheus's text format 0.0.4. */
void metrics_write(struct server *server, struct buffer *out);

void metrics_close(struct metrics *metrics);

#endif
