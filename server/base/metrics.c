/* Counters and histograms. */
#include "metrics.h"

#include "clock.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double duration_bounds[METRICS_BUCKETS] = {50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3,
                                                        25e-3, 50e-3,  100e-3, 250e-3, 0.5,  1,      2.5,  10};
static const double row_bounds[METRICS_BUCKETS] = {1,   2,   4,    8,    16,   32,   64,    128,
                                                   256, 512, 1024, 2048, 4096, 8192, 16384, 32768};

static void set_bounds(struct metrics_counts *counts)
{
    struct histogram *const parts[] = {&counts->queue_wait, &counts->decode, &counts->compute, &counts->encode};
    counts->batch_rows.bounds = row_bounds;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        parts[i]->bounds = duration_bounds;
    for (size_t i = 0; i < METRICS_ROUTES; i++)
        counts->durations[i].bounds = duration_bounds;
}

static void part_init(struct metrics_part *part)
{
    *part = (struct metrics_part){.counts = {.rows = 0}};
    set_bounds(&part->counts);
    pthread_mutex_init(&part->lock, NULL);
}

static void part_close(struct metrics_part *part)
{
    free(part->counts.requests);
    free(part->counts.models);
    pthread_mutex_destroy(&part->lock);
}

void metrics_init(struct metrics *metrics)
{
    metrics->started = (double)time(NULL);
    part_init(&metrics->first);
    for (size_t i = 0; i < METRICS_PARTS; i++)
        metrics->parts[i] = i ? NULL : &metrics->first;
}

void metrics_close(struct metrics *metrics)
{
    part_close(&metrics->first);
    for (size_t i = 1; i < METRICS_PARTS; i++)
        if (metrics->parts[i]) {
            part_close(metrics->parts[i]);
            free(metrics->parts[i]);
        }
}

/* The part of the calling thread. Threads take parts in turn. */
static struct metrics_part *own_part(struct metrics *metrics)
{
    static atomic_size_t threads;
    static _Thread_local size_t own = SIZE_MAX;
    if (own == SIZE_MAX)
        own = threads++ % METRICS_PARTS;
    struct metrics_part *part = metrics->parts[own], *none = NULL;
    if (part)
        return part;
    part = aligned_alloc(_Alignof(struct metrics_part), sizeof *part);
    if (!part)
        return &metrics->first;
    part_init(part);
    if (atomic_compare_exchange_strong(&metrics->parts[own], &none, part))
        return part;
    part_close(part);
    free(part);
    return none;
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
static struct request_count *row_of(struct metrics_counts *counts, size_t route, const char *model, int status)
{
    for (size_t i = 0; i < counts->n_requests; i++) {
        struct request_count *row = &counts->requests[i];
        if (row->route == route && row->status == status && !strcmp(row->model, model))
            return row;
    }
    struct request_count *grown = realloc(counts->requests, (counts->n_requests + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    counts->requests = grown;
    grown[counts->n_requests] = (struct request_count){route, model, status, 0, {.bounds = duration_bounds}};
    return &grown[counts->n_requests++];
}

/* NULL when out of memory. */
static struct model_statistics *statistics_of(struct metrics_counts *counts, const char *model)
{
    for (size_t i = 0; i < counts->n_models; i++)
        if (!strcmp(counts->models[i].model, model))
            return &counts->models[i];
    struct model_statistics *grown = realloc(counts->models, (counts->n_models + 1) * sizeof *grown);
    if (!grown)
        return NULL;
    counts->models = grown;
    grown[counts->n_models] = (struct model_statistics){.model = model};
    return &grown[counts->n_models++];
}

static void sum_statistics(struct model_statistics *to, const struct model_statistics *from)
{
    to->success += from->success;
    to->fail += from->fail;
    to->rows += from->rows;
    to->runs += from->runs;
    to->success_ns += from->success_ns;
    to->fail_ns += from->fail_ns;
    to->queue_ns += from->queue_ns;
    to->decode_ns += from->decode_ns;
    to->compute_ns += from->compute_ns;
    to->encode_ns += from->encode_ns;
    to->last_ms = from->last_ms > to->last_ms ? from->last_ms : to->last_ms;
}

struct model_statistics metrics_model(struct metrics *metrics, const char *model)
{
    struct model_statistics sum = {.model = model};
    for (size_t p = 0; p < METRICS_PARTS; p++) {
        struct metrics_part *part = metrics->parts[p];
        if (!part)
            continue;
        pthread_mutex_lock(&part->lock);
        for (size_t i = 0; i < part->counts.n_models; i++)
            if (!strcmp(part->counts.models[i].model, model))
                sum_statistics(&sum, &part->counts.models[i]);
        pthread_mutex_unlock(&part->lock);
    }
    return sum;
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
static void add_prediction(struct metrics_counts *metrics, const struct request_sample *sample)
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
    struct metrics_part *part = own_part(metrics);
    pthread_mutex_lock(&part->lock);
    struct request_count *row = row_of(&part->counts, sample->route, sample->model, sample->status);
    if (row) {
        row->count++;
        observe(&row->durations, (double)sample->durations.total_ns * 1e-9);
    }
    if (sample->prediction)
        add_prediction(&part->counts, sample);
    pthread_mutex_unlock(&part->lock);
}

void metrics_batch(struct metrics *metrics, const char *model, size_t rows)
{
    struct metrics_part *part = own_part(metrics);
    pthread_mutex_lock(&part->lock);
    struct model_statistics *s = statistics_of(&part->counts, model);
    if (s)
        s->runs++;
    observe(&part->counts.batch_rows, (double)rows);
    pthread_mutex_unlock(&part->lock);
}

static void sum_histogram(struct histogram *to, const struct histogram *from)
{
    for (size_t i = 0; i <= METRICS_BUCKETS; i++)
        to->counts[i] += from->counts[i];
    to->sum += from->sum;
}

/* False when out of memory. */
static bool sum_counts(struct metrics_counts *to, const struct metrics_counts *from)
{
    sum_histogram(&to->queue_wait, &from->queue_wait);
    sum_histogram(&to->decode, &from->decode);
    sum_histogram(&to->compute, &from->compute);
    sum_histogram(&to->encode, &from->encode);
    sum_histogram(&to->batch_rows, &from->batch_rows);
    to->rows += from->rows;
    to->timesteps += from->timesteps;
    bool good = true;
    for (size_t i = 0; good && i < from->n_requests; i++) {
        const struct request_count *row = &from->requests[i];
        struct request_count *sum = row_of(to, row->route, row->model, row->status);
        good = sum;
        if (!good)
            break;
        sum->count += row->count;
        sum_histogram(&sum->durations, &row->durations);
        sum_histogram(&to->durations[row->route], &row->durations);
    }
    return good;
}

static bool are_alike(const struct request_count *a, const struct request_count *b)
{
    return a->route == b->route && a->status / 100 == b->status / 100 && !strcmp(a->model, b->model);
}

bool metrics_class_durations(const struct metrics_counts *counts, size_t i, struct histogram *out)
{
    *out = (struct histogram){.bounds = duration_bounds};
    for (size_t k = 0; k < counts->n_requests; k++) {
        if (!are_alike(&counts->requests[k], &counts->requests[i]))
            continue;
        if (k < i)
            return false;
        sum_histogram(out, &counts->requests[k].durations);
    }
    return true;
}

bool metrics_sum(struct metrics *metrics, struct metrics_counts *counts)
{
    bool good = true;
    *counts = (struct metrics_counts){.rows = 0};
    set_bounds(counts);
    for (size_t p = 0; good && p < METRICS_PARTS; p++) {
        struct metrics_part *part = metrics->parts[p];
        if (!part)
            continue;
        pthread_mutex_lock(&part->lock);
        good = sum_counts(counts, &part->counts);
        pthread_mutex_unlock(&part->lock);
    }
    if (!good)
        free(counts->requests);
    return good;
}
