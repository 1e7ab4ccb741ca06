/* Counters and histograms, and their Prometheus text. */
#ifndef SERVER_BASE_METRICS_H
#define SERVER_BASE_METRICS_H

#include "server/codec/buffer.h"

#include <pthread.h>
#include <stdint.h>

struct server;
struct request;
struct route;

enum { METRICS_BUCKETS = 16, METRICS_ROUTES = 40 };

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

/* What has become of the predictions of a model; nanoseconds are sums over those that succeeded, fail_ns over the others. */
struct model_statistics {
    const char *model; /* borrowed */
    uint64_t success, fail, rows, runs, success_ns, fail_ns, queue_ns, decode_ns, compute_ns, encode_ns;
    int64_t last_ms; /* of the last one, since 1970 */
};

struct metrics {
    pthread_mutex_t lock; /* guards all below; no other lock is taken under it */
    struct request_count *requests;
    size_t n_requests;
    struct model_statistics *models;
    size_t n_models;
    struct histogram durations[METRICS_ROUTES];
    struct histogram queue_wait, decode, compute, encode, batch_rows;
    uint64_t rows, timesteps;
    double started;
};

void metrics_init(struct metrics *metrics);

/* Count a finished request. */
void metrics_request(struct metrics *metrics, const struct request *request);

/* Count one run of a model's rows side by side. */
void metrics_batch(struct metrics *metrics, const char *model, size_t rows);

/* Statistics of a model; zeros where there are none. */
struct model_statistics metrics_model(struct metrics *metrics, const char *model);

/* One number with its help, "cellserve_" before its name. */
void metrics_value(struct buffer *out, const char *name, const char *type, const char *help, double value);

/* Everything in Prometheus's text format 0.0.4. */
void metrics_write(struct server *server, struct buffer *out);

void metrics_close(struct metrics *metrics);

#endif
