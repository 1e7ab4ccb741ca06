/* Counters and histograms. */
#include "metrics.h"

#include "clock.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double duration_bounds[METRICS_BUCKETS] = {50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3,
                                                        25e-3, 50e-3,  100e-3, 250e-3, 0.5,  1,      2.5,  10};
static const double row_bounds[METRICS_BUCKETS] = {1,   2,   4,    8,    16,   32,   64,    128,
                                                   256, 512, 1024, 2048, 4096, 8192, 16384, 32768};

void metrics_init(struct metrics *metrics)
{
    *metrics = (struct metrics){.started = (double)time(NULL), .batch_rows.bounds = row_bounds};
    struct histogram *const parts[] = {&metrics->queue_wait, &metrics->decode, &metrics->compute, &metrics->encode};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        parts[i]->bounds = duration_bounds;
    for (size_t i = 0; i < METRICS_ROUTES; i++)
        metrics->durations[i].bounds = duration_bounds;
    pthread_mutex_init(&metrics->lock, NULL);
}

void metrics_close(struct metrics *metrics)
{
    free(metrics->requests);
    free(metrics->models);
    pthread_mutex_destroy(&metrics->lock);
}

static void observe(struct histogram *histogram, double value)
{
    size_t i = 0;
    while (i < METRICS_BUCKETS && value > histogram->bounds[i])
        i++;
    histogram->counts[i]++;
    histogram->sum += value;
}

/* A request of which there is no memory to count it is left out. */
static void count_answer(struct metrics *metrics, size_t route, const char *model, int status)
{
    for (size_t i = 0; i < metrics->n_requests; i++) {
        struct request_count *row = &metrics->requests[i];
        if (row->route == route && row->status == status && !strcmp(row->model, model)) {
            row->count++;
            return;
        }
    }
    struct request_count *grown = realloc(metrics->requests, (metrics->n_requests + 1) * sizeof *grown);
    if (!grown)
        return;
    metrics->requests = grown;
    grown[metrics->n_requests++] = (struct request_count){route, model, status, 1};
}

/* NULL when out of memory. */
static struct model_statistics *statistics_of(struct metrics *metrics, const char *model)
{
    for (size_t i = 0; i < metrics->n_models; i++)
        if (!strcmp(metrics->models[i].model, model))
            return &metrics->models[i];
    struct model_statistics *grown = realloc(metrics->models, (metrics->n_models + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    metrics->models = grown;
    grown[metrics->n_models] = (struct model_statistics){.model = model};
    return &grown[metrics->n_models++];
}

struct model_statistics metrics_model(struct metrics *metrics, const char *model)
{
    struct model_statistics copy = {.model = model};
    pthread_mutex_lock(&metrics->lock);
    const struct model_statistics *found = statistics_of(metrics, model);
    if (found)
        copy = *found;
    pthread_mutex_unlock(&metrics->lock);
    return copy;
}

static void add_statistics(struct model_statistics *s, const struct request_sample *sample)
{
    const struct request_durations *t = &sample->durations;
    uint64_t total = (uint64_t)(t->queue_ns + t->decode_ns + t->compute_ns + t->encode_ns);
    struct timespec now;
    if (sample->status != 200) {
        s->fail++;
        s->fail_ns += total;
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    s->success++;
    s->rows += sample->rows;
    s->success_ns += total;
    s->queue_ns += (uint64_t)t->queue_ns;
    s->decode_ns += (uint64_t)t->decode_ns;
    s->compute_ns += (uint64_t)t->compute_ns;
    s->encode_ns += (uint64_t)t->encode_ns;
    s->last_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

/* Of the parts only the wait for a worker is known to have taken place. */
static void add_prediction(struct metrics *metrics, const struct request_sample *sample)
{
    const struct request_durations *t = &sample->durations;
    const struct {
        struct histogram *histogram;
        int64_t ns;
    } parts[] = {
        {&metrics->decode, t->decode_ns}, {&metrics->compute, t->compute_ns}, {&metrics->encode, t->encode_ns}};
    observe(&metrics->queue_wait, (double)t->queue_ns * 1e-9);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        if (parts[i].ns)
            observe(parts[i].histogram, (double)parts[i].ns * 1e-9);
    struct model_statistics *s = *sample->model ? statistics_of(metrics, sample->model) : NULL;
    if (s)
        add_statistics(s, sample);
    metrics->rows += sample->rows;
    metrics->timesteps += sample->timesteps;
}

void metrics_add(struct metrics *metrics, const struct request_sample *sample)
{
    pthread_mutex_lock(&metrics->lock);
    count_answer(metrics, sample->route, sample->model, sample->status);
    observe(&metrics->durations[sample->route], (double)sample->durations.total_ns * 1e-9);
    if (sample->prediction)
        add_prediction(metrics, sample);
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_batch(struct metrics *metrics, const char *model, size_t rows)
{
    pthread_mutex_lock(&metrics->lock);
    struct model_statistics *s = statistics_of(metrics, model);
    if (s)
        s->runs++;
    observe(&metrics->batch_rows, (double)rows);
    pthread_mutex_unlock(&metrics->lock);
}

bool metrics_copy(struct metrics *metrics, struct metrics *copy)
{
    pthread_mutex_lock(&metrics->lock);
    size_t bytes = metrics->n_requests * sizeof *metrics->requests;
    *copy = *metrics;
    copy->models = NULL;
    copy->n_models = 0;
    copy->requests = malloc(bytes + 1);
    if (copy->requests && bytes)
        memcpy(copy->requests, metrics->requests, bytes);
    pthread_mutex_unlock(&metrics->lock);
    return copy->requests;
}
