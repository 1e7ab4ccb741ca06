/* Counters and histograms of requests; api/metrics_page.c shows them. Each thread counts for itself; whoever reads adds up. */
#ifndef SERVER_BASE_METRICS_H
#define SERVER_BASE_METRICS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { METRICS_BUCKETS = 16, METRICS_ROUTES = 40, METRICS_PARTS = 64 };

struct histogram {
    const double *bounds;                 /* METRICS_BUCKETS, rising; a value at a bound lies below the bound */
    uint64_t counts[METRICS_BUCKETS + 1]; /* the last: above every bound */
    double sum;
};

/* Requests by route, model and status. */
struct request_count {
    size_t route;
    const char *model; /* borrowed; "" where none was found */
    int status;
    uint64_t count;
    struct histogram durations;
};

/* What has become of the predictions of a model; nanoseconds are sums over those that succeeded, fail_ns over the others. */
struct model_statistics {
    const char *model; /* borrowed */
    uint64_t success, fail, rows, runs, success_ns, fail_ns, queue_ns, decode_ns, compute_ns, encode_ns;
    int64_t last_ms; /* of the last one, since 1970 */
};

/* Numbers of all threads, or of some of them. */
struct metrics_counts {
    struct request_count *requests;
    size_t n_requests;
    struct model_statistics *models;
    size_t n_models;
    struct histogram durations[METRICS_ROUTES]; /* of sums alone: those of the requests */
    struct histogram queue_wait, decode, compute, encode, batch_rows;
    uint64_t rows, timesteps;
};

/* What some threads have counted; those that count most have a part each, so that none waits for another. */
struct metrics_part {
    _Alignas(64) pthread_mutex_t lock; /* guards all below; no other lock is taken under it */
    struct metrics_counts counts;
};

struct metrics {
    double started;
    _Atomic(struct metrics_part *) parts[METRICS_PARTS]; /* made when a thread counts first; NULL before */
    struct metrics_part first;                           /* parts[0]; of the others, too, where there is no memory */
};

/* What is counted of a finished request. */
struct request_durations {
    int64_t total_ns, queue_ns, decode_ns, compute_ns, encode_ns; /* total: from the head to the answer */
};
struct request_sample {
    size_t route;      /* its number, below METRICS_ROUTES */
    const char *model; /* its name, which outlives the metrics; "" where none was found */
    int status;
    bool prediction; /* only then all below counts, and the parts of the durations */
    size_t rows, timesteps;
    struct request_durations durations;
};

void metrics_init(struct metrics *metrics);
void metrics_close(struct metrics *metrics);

/* Count a finished request. */
void metrics_add(struct metrics *metrics, const struct request_sample *sample);

/* Count one run of a model's rows side by side. */
void metrics_batch(struct metrics *metrics, const char *model, size_t rows);

/* Statistics of a model; zeros where there are none. */
struct model_statistics metrics_model(struct metrics *metrics, const char *model);

/* The durations of requests of the i-th row's route and model whose status is of the same class (2xx), in out; false where a
   row before it has them already. */
bool metrics_class_durations(const struct metrics_counts *counts, size_t i, struct histogram *out);

/* The sums of all parts, without the models' statistics. The caller frees counts->requests; false when out of memory. */
bool metrics_sum(struct metrics *metrics, struct metrics_counts *counts);

#endif
