/* Logs a line for each answered request, and for each stream that begins. */
#include "access_log.h"
#include "config/model.h"

#include "server/api/routes.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/run/stream.h"
#include "server/session/siphash.h"

#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static uint64_t key[2]; /* of the hashes of session ids */

void access_log_setup(void)
{
    if (getrandom(key, sizeof key, GRND_NONBLOCK) != sizeof key)
        key[0] = (uint64_t)clock_ns(); /* very early in the life of a machine */
}

/* A client that knows a session's id can read and change the session. So the log has "/sessions/#" and a hash instead
   of the id, also for unknown paths. */
static void add_path(struct log_entry *entry, const struct request *request)
{
    static const char sessions[] = "/sessions/";
    const char *id = strstr(request->head.target, sessions);
    char text[40];
    if (id) {
        id += sizeof sessions - 1;
        snprintf(text, sizeof text, "%s#%016llx", sessions, (unsigned long long)siphash(key, id, strlen(id)));
    }
    log_add_text(entry, "path", id ? text : request->head.target);
}

static void begin_request(struct log_entry *entry, enum log_level level, const char *event,
                          const struct request *request)
{
    log_begin(entry, level, event);
    log_add_text(entry, "id", request->head.id);
    log_add_text(entry, "method", request->head.method);
    add_path(entry, request);
    log_add_number(entry, "status", request->answer.status);
    log_add_number(entry, "bytes_in", (long long)request->body_bytes);
    if (request->model)
        log_add_text(entry, "model", request->model->name);
    if (*request->head.trace) {
        char trace_id[33];
        snprintf(trace_id, sizeof trace_id, "%.32s", request->head.trace + 3);
        log_add_text(entry, "trace_id", trace_id);
    }
    if (request->access.key)
        log_add_text(entry, "key", request->access.key->name);
}

/* The end of a request's line, which goes out. */
static void end_request(struct log_entry *entry, const struct request *request)
{
    log_add_number(entry, "total_us", (clock_ns() - request->timing.accepted) / 1000);
    log_write(entry);
}

void log_stream(const struct request *request)
{
    struct log_entry entry;
    if (!log_shows(LOG_INFO))
        return;
    begin_request(&entry, LOG_INFO, "stream", request);
    end_request(&entry, request);
}

void log_request(const struct request *request)
{
    const struct request_timing *t = &request->timing;
    bool probe = request->route->kind == ROUTE_PROBE && request->route->answer && request->answer.status / 100 != 4;
    struct log_entry entry;
    enum log_level level = request->answer.status >= 500 ? LOG_WARN : LOG_INFO;
    /* there may be very many of these; only their number is logged */
    if (probe || request_was_refused(request) || request_was_limited(request))
        level = LOG_DEBUG;
    if (!log_shows(level))
        return;
    begin_request(&entry, level, "request", request);
    if (request->answer.code)
        log_add_text(&entry, "code", request->answer.code);
    log_add_number(&entry, "bytes_out",
                   (long long)(request->stream ? request->stream->taken : request->answer.text_bytes));
    if (request->prediction) {
        log_add_number(&entry, "rows", (long long)request->rows);
        log_add_number(&entry, "timesteps", (long long)request->timesteps);
        log_add_number(&entry, "queue_us", t->queue / 1000);
        log_add_number(&entry, "decode_us", t->decode / 1000);
        log_add_number(&entry, "compute_us", t->compute / 1000);
        log_add_number(&entry, "encode_us", t->encode / 1000);
    }
    end_request(&entry, request);
}
