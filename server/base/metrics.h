/* Counters and histograms of requests; api/metrics_page.c shows them. Each thread has its own counters, and a reader
   adds them up. */
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

/* The predictions of a model. The nanoseconds are sums over the successful predictions, fail_ns over the others. */
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

/* The counters of some threads. Each of the busiest threads has its own part, so that no thread waits for another. */
struct metrics_part {
    _Alignas(64) pthread_mutex_t lock; /* guards all below; no other lock is taken under it */
    struct metrics_counts counts;
};

struct metrics {
    double started;
    _Atomic(struct metrics_part *) parts[METRICS_PARTS]; /* made when a thread counts first; NULL before */
    struct metrics_part first;                           /* parts[0]; of the others, too, where there is no memory */
};

/* The data of a finished request for counting. */
struct request_durations {
    int64_t total_ns, queue_ns, decode_ns, compute_ns, encode_ns; /* total: from the head to the answer */
};
struct request_sample {
    size_t route;      /* the number of the route, below METRICS_ROUTES */
    const char *model; /* the name of the model, which must outlive the metrics; "" if no model was found */
    int status;
    bool prediction; /* only if true, the fields below and the parts of the durations are counted */
    size_t rows, timesteps;
    struct request_durations durations;
};

void metrics_init(struct metrics *metrics);
void metrics_close(struct metrics *metrics);

/* Count a finished request. */
void metrics_add(struct metrics *metrics, const struct request_sample *sample);

/* Count one run of a model's rows side by side. */
void metrics_batch(struct metrics *metrics, const char *model, size_t rows);

/* Statistics of a model; zeros if it has none. */
struct model_statistics metrics_model(struct metrics *metrics, const char *model);

/* Add up the durations of requests with the i-th row's route, model and class of status (2xx) into out. Returns false
   if an earlier row has the same three. */
bool metrics_class_durations(const struct metrics_counts *counts, size_t i, struct histogram *out);

/* The sums of all parts, without the models' statistics. The caller frees counts->requests; false when out of memory. */
bool metrics_sum(struct metrics *metrics, struct metrics_counts *counts);

#endif
