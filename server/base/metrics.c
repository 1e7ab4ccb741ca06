/* Metrics. Names follow Prometheus's conventions: application prefix, base units, _total for counters. */
#include "metrics.h"

#include "clock.h"
#include "log_ring.h"
#include "server/api/routes.h"
#include "server/run/request.h"
#include "server/run/server.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const double duration_bounds[METRICS_BUCKETS] = {50e-6, 100e-6, 250e-6, 500e-6, 1e-3, 2.5e-3, 5e-3, 10e-3,
                                                        25e-3, 50e-3,  100e-3, 250e-3, 0.5,  1,      2.5,  10};
static const double row_bounds[METRICS_BUCKETS] = {1,   2,   4,    8,    16,   32,   64,    128,
                                                   256, 512, 1024, 2048, 4096, 8192, 16384, 32768};

void metrics_init(struct metrics *metrics)
{
    *metrics = (struct metrics){.started = (double)time(NULL)};
    pthread_mutex_init(&metrics->lock, NULL);
}

void metrics_close(struct metrics *metrics)
{
    free(metrics->requests);
    free(metrics->models);
    pthread_mutex_destroy(&metrics->lock);
}

static void observe(struct histogram *histogram, const double *bounds, double value)
{
    size_t i = 0;
    while (i < METRICS_BUCKETS && value > bounds[i])
        i++;
    histogram->counts[i]++;
    histogram->sum += value;
}

static void count_request(struct metrics *metrics, const struct route *route, const char *model, int status)
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

static void count_prediction(struct metrics *metrics, const struct request *request)
{
    const struct request_timing *t = &request->timing;
    struct model_statistics *s = request->model ? statistics_of(metrics, request->model->name) : NULL;
    struct timespec now;
    if (!s)
        return;
    uint64_t total = (uint64_t)(t->queue + t->decode + t->compute + t->encode);
    if (request->status != 200) {
        s->fail++;
        s->fail_ns += total;
        return;
    }
    clock_gettime(CLOCK_REALTIME, &now);
    s->success++;
    s->rows += request->rows;
    s->success_ns += total;
    s->queue_ns += (uint64_t)t->queue;
    s->decode_ns += (uint64_t)t->decode;
    s->compute_ns += (uint64_t)t->compute;
    s->encode_ns += (uint64_t)t->encode;
    s->last_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / NS_PER_MS;
}

void metrics_request(struct metrics *metrics, const struct request *request)
{
    const struct request_timing *t = &request->timing;
    pthread_mutex_lock(&metrics->lock);
    count_request(metrics, request->route, request->model ? request->model->name : "", request->status);
    observe(&metrics->durations[route_index(request->route)], duration_bounds,
            (double)(clock_ns() - t->accepted) * 1e-9);
    if (request->prediction) {
        observe(&metrics->queue_wait, duration_bounds, (double)t->queue * 1e-9);
        const struct {
            struct histogram *histogram;
            int64_t ns;
        } parts[] = {{&metrics->decode, t->decode}, {&metrics->compute, t->compute}, {&metrics->encode, t->encode}};
        for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
            if (parts[i].ns)
                observe(parts[i].histogram, duration_bounds, (double)parts[i].ns * 1e-9);
        count_prediction(metrics, request);
        metrics->rows += request->rows;
        metrics->timesteps += request->timesteps;
    }
    pthread_mutex_unlock(&metrics->lock);
}

void metrics_batch(struct metrics *metrics, const char *model, size_t rows)
{
    pthread_mutex_lock(&metrics->lock);
    struct model_statistics *s = statistics_of(metrics, model);
    if (s)
        s->runs++;
    observe(&metrics->batch_rows, row_bounds, (double)rows);
    pthread_mutex_unlock(&metrics->lock);
}

static void head(struct buffer *out, const char *name, const char *type, const char *help)
{
    buffer_printf(out, "# HELP cellserve_%s %s\n# TYPE cellserve_%s %s\n", name, help, name, type);
}

/* One number of the names that Prometheus gives to every process. */
static void process_value(struct buffer *out, const char *name, const char *type, const char *help, double value)
{
    buffer_printf(out, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %.12g\n", name, help, name, type, name,
                  value);
}

static void write_histogram(struct buffer *out, const char *name, const char *label, const struct histogram *h,
                            const double *bounds)
{
    uint64_t total = 0;
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        total += h->counts[i];
        buffer_printf(out, "cellserve_%s_bucket{%s%sle=\"%g\"} %llu\n", name, label, *label ? "," : "", bounds[i],
                      (unsigned long long)total);
    }
    total += h->counts[METRICS_BUCKETS];
    buffer_printf(out, "cellserve_%s_bucket{%s%sle=\"+Inf\"} %llu\n", name, label, *label ? "," : "",
                  (unsigned long long)total);
    const char *open = *label ? "{" : "", *close = *label ? "}" : "";
    buffer_printf(out, "cellserve_%s_sum%s%s%s %.9g\n", name, open, label, close, h->sum);
    buffer_printf(out, "cellserve_%s_count%s%s%s %llu\n", name, open, label, close, (unsigned long long)total);
}

static void write_requests(const struct metrics *metrics, struct buffer *out)
{
    head(out, "requests_total", "counter", "Requests by route, model and status.");
    for (size_t i = 0; i < metrics->n_requests; i++) {
        const struct request_count *row = &metrics->requests[i];
        buffer_printf(out, "cellserve_requests_total{route=\"%s\",model=\"%s\",status=\"%d\"} %llu\n", row->route->name,
                      row->model, row->status, (unsigned long long)row->count);
    }
    head(out, "request_duration_seconds", "histogram", "From the head of a request to its answer.");
    for (size_t i = 0; i < METRICS_ROUTES; i++) {
        const struct route *route = route_at(i);
        char label[64];
        if (!route)
            break;
        snprintf(label, sizeof label, "route=\"%s\"", route->name);
        if (metrics->durations[i].sum > 0)
            write_histogram(out, "request_duration_seconds", label, &metrics->durations[i], duration_bounds);
    }
    head(out, "queue_duration_seconds", "histogram", "Wait of predictions for a worker.");
    write_histogram(out, "queue_duration_seconds", "", &metrics->queue_wait, duration_bounds);
    head(out, "decode_duration_seconds", "histogram", "Reading the bodies of predictions.");
    write_histogram(out, "decode_duration_seconds", "", &metrics->decode, duration_bounds);
    head(out, "compute_duration_seconds", "histogram", "Computation of predictions.");
    write_histogram(out, "compute_duration_seconds", "", &metrics->compute, duration_bounds);
    head(out, "encode_duration_seconds", "histogram", "Writing the answers of predictions.");
    write_histogram(out, "encode_duration_seconds", "", &metrics->encode, duration_bounds);
    head(out, "batch_rows", "histogram", "Sequences that a worker ran side by side.");
    write_histogram(out, "batch_rows", "", &metrics->batch_rows, row_bounds);
    head(out, "rows_total", "counter", "Sequences predicted.");
    buffer_printf(out, "cellserve_rows_total %llu\n", (unsigned long long)metrics->rows);
    head(out, "timesteps_total", "counter", "Timesteps of all sequences predicted.");
    buffer_printf(out, "cellserve_timesteps_total %llu\n", (unsigned long long)metrics->timesteps);
}

void metrics_value(struct buffer *out, const char *name, const char *type, const char *help, double value)
{
    head(out, name, type, help);
    buffer_printf(out, "cellserve_%s %.9g\n", name, value);
}

static void gauge(struct buffer *out, const char *name, const char *help, double value)
{
    metrics_value(out, name, "gauge", help, value);
}

static void write_models(struct server *server, struct buffer *out)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {
        {"model_load_seconds", "gauge", "Time it took to load a model."},
        {"model_weight_bytes", "gauge", "Weights of a model as they lie in memory."},
        {"model_reloads_total", "counter", "Times that a new version took a model's place."},
        {"model_reload_failures_total", "counter", "Times that a new version could not be loaded."},
        {"model_reload_failed", "gauge",
         "1 while the last attempt to load a new version has failed, and why; the log has the whole."},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        head(out, rows[r].name, rows[r].type, rows[r].help);
        for (size_t i = 0; i < server->n_slots; i++) {
            const struct slot *slot = &server->slots[i];
            pthread_mutex_lock(&server->models_lock);
            const struct model *model = slot->current;
            const double values[] = {model->load_seconds, (double)rnn_model_bytes(&model->chain), (double)slot->reloads,
                                     (double)slot->failures, slot->failure ? 1 : 0};
            buffer_printf(out, "cellserve_%s{model=\"%s\"", rows[r].name, model->name);
            if (r < 2)
                buffer_printf(out, ",version=\"%s\"", model->version);
            if (r == 4 && slot->failure) {
                buffer_printf(out, ",version=\"%s\",reason=\"", slot->failed_version);
                buffer_escaped(out, slot->failure);
                buffer_text(out, "\"");
            }
            buffer_printf(out, "} %.9g\n", values[r]);
            pthread_mutex_unlock(&server->models_lock);
        }
    }
}

/* Prometheus's standard process metrics, from /proc. */
static void write_process(const struct metrics *metrics, struct buffer *out)
{
    unsigned long user = 0, kernel = 0;
    long pages = 0;
    size_t fds = 0;
    FILE *file = fopen("/proc/self/stat", "r");
    if (file) {
        char text[1024];
        text[fread(text, 1, sizeof text - 1, file)] = 0;
        fclose(file);
        const char *after = strrchr(text, ')'); /* the command may hold anything */
        if (after)
            sscanf(after + 1,
                   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %*u %*u %ld", &user,
                   &kernel, &pages);
    }
    DIR *dir = opendir("/proc/self/fd");
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry; entry = readdir(dir))
        fds += entry->d_name[0] != '.';
    if (dir)
        closedir(dir);
    process_value(out, "cpu_seconds_total", "counter", "Processor time, of user and system.",
                  (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK));
    process_value(out, "resident_memory_bytes", "gauge", "Resident memory.",
                  (double)pages * (double)sysconf(_SC_PAGESIZE));
    process_value(out, "open_fds", "gauge", "Open file descriptors.", fds ? (double)(fds - 1) : 0);
    process_value(out, "start_time_seconds", "gauge", "When the process started, since 1970.", metrics->started);
}

/* What write_requests needs, so that requests that end meanwhile do not wait for the lock. The caller frees copy->requests;
   false when out of memory. */
static bool copy_counts(struct metrics *metrics, struct metrics *copy)
{
    pthread_mutex_lock(&metrics->lock);
    size_t bytes = metrics->n_requests * sizeof *metrics->requests;
    *copy = *metrics;
    copy->models = NULL;
    copy->requests = malloc(bytes + 1);
    if (copy->requests)
        memcpy(copy->requests, metrics->requests, bytes);
    pthread_mutex_unlock(&metrics->lock);
    return copy->requests;
}

void metrics_write(struct server *server, struct buffer *out)
{
    struct metrics *metrics = &server->metrics, counts;
    out->exhausted = !copy_counts(metrics, &counts);
    if (out->exhausted)
        return;
    write_requests(&counts, out);
    free(counts.requests);
    size_t queued = 0, running = 0;
    if (server->state != SERVER_LOADING) {
        pool_load(&server->pool, &queued, &running);
        write_models(server, out);
    }
    gauge(out, "queue_depth", "Requests that wait for a worker.", (double)queued);
    gauge(out, "streams", "Streams that are open.", (double)server->streams.n);
    gauge(out, "running_requests", "Requests that a worker is computing.", (double)running);
    gauge(out, "connections", "Open connections.", (double)server->connections);
    gauge(out, "inflight_bytes", "Memory that requests hold.", (double)server->memory.used);
    gauge(out, "inflight_limit_bytes", "Memory that requests may hold.", (double)server->memory.limit);
    if (server->sessions)
        session_store_metrics(server->sessions, out);
    metrics_value(out, "log_lines_dropped_total", "counter", "Lines of the log that found no reader in time.",
                  (double)log_ring_dropped());
    gauge(out, "workers", "Compute threads.", (double)server->n_workers);
    head(out, "build_info", "gauge", "Version and instruction set in use.");
    buffer_printf(out, "cellserve_build_info{version=\"%s\",isa=\"%s\"} 1\n", CELLSERVE_VERSION, server->vec->name);
    write_process(metrics, out);
}
