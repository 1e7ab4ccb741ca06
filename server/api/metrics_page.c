/* GET /metrics: the counters, and the current load of the server's parts. */
#include "metrics_page.h"

#include "handlers.h"
#include "routes.h"
#include "server/base/clock.h"
#include "server/base/counters.h"
#include "server/base/lifecycle.h"
#include "server/base/log_ring.h"
#include "server/base/metrics.h"
#include "server/base/version.h"
#include "server/codec/metrics_text.h"
#include "server/run/models.h"
#include "server/run/pool.h"
#include "server/run/services.h"
#include "server/run/stream.h"
#include "server/session/session_store.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void metrics_count_request(struct metrics *metrics, const struct request *request)
{
    const struct request_timing *t = &request->timing;
    metrics_add(metrics, &(struct request_sample){
                             .route = route_index(request->route),
                             .model = request->model ? request->model->name : "",
                             .status = request->answer.status,
                             .prediction = request->prediction,
                             .rows = request->rows,
                             .timesteps = request->timesteps,
                             .durations = {clock_ns() - t->accepted, t->queue, t->decode, t->compute, t->encode}});
}

static void write_requests(const struct metrics_counts *metrics, struct buffer *out)
{
    metrics_text_head(out, "requests_total", "counter", "Requests by route, model and status.");
    for (size_t i = 0; i < metrics->n_requests; i++) {
        const struct request_count *row = &metrics->requests[i];
        buffer_printf(out, "cellserve_requests_total{route=\"%s\",model=\"%s\",status=\"%d\"} %llu\n",
                      route_at(row->route)->name, row->model, row->status, (unsigned long long)row->count);
    }
    metrics_text_head(out, "request_duration_seconds", "histogram",
                      "From the head of a request to its answer, by class of status.");
    for (size_t i = 0; i < metrics->n_requests; i++) {
        const struct request_count *row = &metrics->requests[i];
        struct histogram durations;
        char label[256];
        if (!metrics_class_durations(metrics, i, &durations))
            continue;
        snprintf(label, sizeof label, "route=\"%s\",model=\"%s\",status=\"%dxx\"", route_at(row->route)->name,
                 row->model, row->status / 100);
        metrics_text_histogram(out, "request_duration_seconds", label, &durations);
    }
    metrics_text_head(out, "queue_duration_seconds", "histogram", "Wait of predictions for a worker.");
    metrics_text_histogram(out, "queue_duration_seconds", "", &metrics->queue_wait);
    metrics_text_head(out, "decode_duration_seconds", "histogram", "Reading the bodies of predictions.");
    metrics_text_histogram(out, "decode_duration_seconds", "", &metrics->decode);
    metrics_text_head(out, "compute_duration_seconds", "histogram", "Computation of predictions.");
    metrics_text_histogram(out, "compute_duration_seconds", "", &metrics->compute);
    metrics_text_head(out, "encode_duration_seconds", "histogram", "Writing the answers of predictions.");
    metrics_text_histogram(out, "encode_duration_seconds", "", &metrics->encode);
    metrics_text_head(out, "batch_rows", "histogram", "Sequences that a worker ran side by side.");
    metrics_text_histogram(out, "batch_rows", "", &metrics->batch_rows);
    metrics_text_head(out, "rows_total", "counter", "Sequences predicted.");
    buffer_printf(out, "cellserve_rows_total %llu\n", (unsigned long long)metrics->rows);
    metrics_text_head(out, "timesteps_total", "counter", "Timesteps of all sequences predicted.");
    buffer_printf(out, "cellserve_timesteps_total %llu\n", (unsigned long long)metrics->timesteps);
}

static void gauge(struct buffer *out, const char *name, const char *help, double value)
{
    metrics_text_value(out, name, "gauge", help, value);
}

/* Connections in all, and what each I/O thread has. */
static void write_io(const struct counters *counters, struct buffer *out)
{
    size_t connections = 0;
    for (size_t i = 0; i < counters->n_io; i++)
        connections += counters->io[i].connections;
    gauge(out, "connections", "Open connections.", (double)connections);
    metrics_text_head(out, "io_connections", "gauge", "Open connections of an I/O thread.");
    for (size_t i = 0; i < counters->n_io; i++)
        buffer_printf(out, "cellserve_io_connections{thread=\"%zu\"} %zu\n", i, counters->io[i].connections);
    metrics_text_head(out, "io_requests_total", "counter", "Requests that an I/O thread has read and answered.");
    for (size_t i = 0; i < counters->n_io; i++)
        buffer_printf(out, "cellserve_io_requests_total{thread=\"%zu\"} %zu\n", i, counters->io[i].requests);
}

static void write_models(const struct services *services, struct buffer *out)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {
        {"model_load_seconds", "gauge", "Time to load a model."},
        {"model_weight_bytes", "gauge", "Memory of a model's weights."},
        {"model_reloads_total", "counter", "Times that a new version took a model's place."},
        {"model_reload_failures_total", "counter", "Times that a new version could not be loaded."},
        {"model_reload_failed", "gauge",
         "1 if the last attempt to load a new version failed. The label reason is short; the log has the whole "
         "reason."},
    };
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        metrics_text_head(out, rows[r].name, rows[r].type, rows[r].help);
        for (size_t i = 0; i < services->models->n_slots; i++) {
            const struct slot *slot = &services->models->slots[i];
            models_lock(services->models);
            const struct model *model = slot->current;
            const double values[] = {model->load_seconds, (double)graph_bytes(&model->graph), (double)slot->reloads,
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
            models_unlock(services->models);
        }
    }
}

/* "temperature", or the number of a feature without a name. */
static void write_feature(struct buffer *out, const struct transform_input *input, size_t i)
{
    if (i < input->n_features)
        buffer_escaped(out, input->features[i]);
    else
        buffer_printf(out, "%zu", i);
}

/* The most series of one model. */
enum { MOST_FEATURES = 256 };

/* Statistics of the raw values of a model's first input. */
static void write_drift(const struct model *model, size_t kind, const char *name, struct buffer *out)
{
    const struct transform_input *input = model->transform ? &model->transform->inputs[0] : NULL;
    double mean, deviation;
    for (size_t i = 0; input && input->drift && i < input->drift->n && i < MOST_FEATURES; i++) {
        if (!drift_read(input->drift, i, &mean, &deviation) && kind)
            continue;
        buffer_printf(out, "cellserve_%s{model=\"%s\",feature=\"", name, model->name);
        write_feature(out, input, i);
        if (kind)
            buffer_printf(out, "\"} %.9g\n", kind == 1 ? mean : deviation);
        else
            buffer_printf(out, "\"} %llu\n", (unsigned long long)atomic_load(&input->drift->outside[i]));
    }
}

static void write_inputs(const struct services *services, struct buffer *out)
{
    static const struct {
        const char *name, *type, *help;
    } rows[] = {
        {"input_out_of_range_total", "counter",
         "Raw input values outside the range of the data that the scaler was fitted on."},
        {"input_mean", "gauge", "Mean of a feature's last raw values."},
        {"input_deviation", "gauge", "Standard deviation of a feature's last raw values."},
    };
    for (size_t r = 0; atomic_load(&services->models->raw_values) && r < sizeof rows / sizeof *rows; r++) {
        metrics_text_head(out, rows[r].name, rows[r].type, rows[r].help);
        for (size_t i = 0; i < services->models->n_slots; i++) {
            struct model *model = models_acquire(services->models, model_entry_name(services->models->slots[i].entry));
            if (model)
                write_drift(model, r, rows[r].name, out);
            model_release(model);
        }
    }
}

/* One number of the names that Prometheus gives to every process. */
static void process_value(struct buffer *out, const char *name, const char *type, const char *help, double value)
{
    buffer_printf(out, "# HELP process_%s %s\n# TYPE process_%s %s\nprocess_%s %.12g\n", name, help, name, type, name,
                  value);
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
        const char *after = strrchr(text, ')'); /* the name of the command may contain any character */
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
    process_value(out, "cpu_seconds_total", "counter", "CPU time, user and system.",
                  (double)(user + kernel) / (double)sysconf(_SC_CLK_TCK));
    process_value(out, "resident_memory_bytes", "gauge", "Resident memory.",
                  (double)pages * (double)sysconf(_SC_PAGESIZE));
    process_value(out, "open_fds", "gauge", "Open file descriptors.", fds ? (double)(fds - 1) : 0);
    process_value(out, "start_time_seconds", "gauge", "When the process started, in seconds since 1970.",
                  metrics->started);
}

static void write_certificate(const struct certificate_counters *c, struct buffer *out)
{
    if (!c->expires_s)
        return;
    gauge(out, "tls_certificate_expiry_timestamp_seconds",
          "When the certificate of HTTPS expires, in seconds since 1970.", (double)c->expires_s);
    metrics_text_value(out, "tls_reloads_total", "counter", "Times that a new certificate came into use.",
                       (double)c->reloads);
    metrics_text_value(out, "tls_reload_failures_total", "counter", "Times that a new certificate could not be loaded.",
                       (double)c->failures);
    gauge(out, "tls_reload_failed", "1 while the old certificate is in use because the new one could not be loaded.",
          c->failed);
}

void metrics_page_write(const struct services *services, struct buffer *out)
{
    struct metrics *metrics = services->metrics;
    struct metrics_counts counts;
    out->exhausted = !metrics_sum(metrics, &counts);
    if (out->exhausted)
        return;
    write_requests(&counts, out);
    free(counts.requests);
    size_t queued = 0, running = 0;
    if (services->lifecycle->state != SERVER_LOADING) {
        pool_load(services->pool, &queued, &running);
        write_models(services, out);
        write_inputs(services, out);
    }
    gauge(out, "queue_depth", "Requests that wait for a worker.", (double)queued);
    gauge(out, "streams", "Streams that are open.", (double)services->streams->n);
    gauge(out, "running_requests", "Requests that a worker is computing.", (double)running);
    write_io(services->counters, out);
    gauge(out, "inflight_bytes", "Memory that requests hold.", (double)services->memory->used);
    gauge(out, "inflight_limit_bytes", "Memory that requests may hold.", (double)services->memory->limit);
    write_certificate(&services->counters->certificate, out);
    if (services->access)
        access_metrics(services->access, out);
    if (services->sessions)
        session_store_metrics(services->sessions, out);
    metrics_text_value(out, "log_lines_dropped_total", "counter",
                       "Lines of the log that were dropped because nobody read the log in time.",
                       (double)log_ring_dropped());
    gauge(out, "workers", "Compute threads.", (double)services->n_workers);
    metrics_text_head(out, "build_info", "gauge", "Version and instruction set in use.");
    buffer_printf(out, "cellserve_build_info{version=\"%s\",isa=\"%s\"} 1\n", CELLSERVE_VERSION,
                  services->models->vec->name);
    write_process(metrics, out);
}

void answer_metrics(struct request *request)
{
    metrics_page_write(request->services, &request->answer.buffer);
    answer_buffer(request, 200, "text/plain; version=0.0.4; charset=utf-8");
}
