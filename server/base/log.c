/* Log lines: text for people, JSON for machines. */
#include "log.h"

#include "clock.h"
#include "log_ring.h"
#include "server/api/routes.h"
#include "server/run/server.h"
#include "server/run/stream.h"
#include "server/session/siphash.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

static struct {
    bool json;
    enum log_level level;
    uint64_t key[2]; /* of the hashes of session ids */
} setup = {.level = LOG_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error", "info"};

void log_setup(const char *format, const char *level)
{
    setup.json = !strcmp(format, "json");
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(level_names[i], level))
            setup.level = (enum log_level)i;
    if (getrandom(setup.key, sizeof setup.key, GRND_NONBLOCK) != sizeof setup.key)
        setup.key[0] = (uint64_t)clock_ns(); /* very early in the life of a machine */
}

/* A line being put together; what does not fit is cut. */
struct line {
    char text[LOG_LINE_BYTES];
    size_t used;
};

static void add(struct line *line, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct line *line, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line->text + line->used, sizeof line->text - line->used, format, args);
    va_end(args);
    line->used += n > 0 ? (size_t)n : 0;
    if (line->used > sizeof line->text - 4)
        line->used = sizeof line->text - 4;
}

static void add_char(struct line *line, char c)
{
    if (line->used < sizeof line->text - 4)
        line->text[line->used++] = c;
}

/* Content of a JSON string; in text lines too, so that nothing a client sends can forge a line. */
static void add_escaped(struct line *line, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            add(line, "\\%c", c);
        else if (c < 0x20 || c >= 0x7f)
            add(line, "\\u%04x", c);
        else
            add_char(line, *text);
    }
}

/* Without the control characters that a name in a file may have. */
static void add_printable(struct line *line, const char *text)
{
    for (; *text; text++)
        add_char(line, (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void begin(struct line *line, enum log_level level)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    line->used = 0;
    add(line, setup.json ? "{\"time\": \"%s.%03ldZ\", \"level\": \"%s\"" : "%s.%03ldZ %s", stamp, now.tv_nsec / 1000000,
        level_names[level]);
}

static void end(struct line *line)
{
    if (setup.json)
        line->text[line->used++] = '}';
    line->text[line->used++] = '\n';
}

/* A whole line with a sentence. */
static void compose(struct line *line, enum log_level level, const char *text)
{
    begin(line, level);
    add(line, setup.json ? ", \"message\": \"" : " ");
    if (setup.json) {
        add_escaped(line, text);
        add(line, "\"");
    } else {
        add_printable(line, text);
    }
    end(line);
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[1600];
    struct line line;
    if (level < setup.level)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    compose(&line, level, text);
    log_ring_line(line.text, line.used);
}

static void log_problem(enum log_level level, const char *prefix, const char *text)
{
    struct line line = {.used = 0};
    if (setup.json) {
        log_line(level, "%s", text);
    } else if (level >= setup.level) {
        add(&line, "%s", prefix);
        add_printable(&line, text);
        end(&line);
        log_ring_line(line.text, line.used);
    }
}

void log_problems(const struct problems *problems)
{
    for (size_t i = 0; i < problems->n_warnings; i++)
        log_problem(LOG_WARN, "warning: ", problems->warnings[i]);
    for (size_t i = 0; i < problems->n_errors; i++)
        log_problem(LOG_ERROR, "", problems->errors[i]);
    if (problems->all_errors > problems->n_errors) {
        char text[48];
        size_t more = problems->all_errors - problems->n_errors;
        snprintf(text, sizeof text, "and %zu more problem%s", more, more == 1 ? "" : "s");
        log_problem(LOG_ERROR, "", text);
    }
}

static size_t say_dropped(char *out, uint64_t dropped)
{
    struct line line;
    char text[160];
    snprintf(text, sizeof text, "%llu log line%s dropped: standard error was not read in time",
             (unsigned long long)dropped, dropped == 1 ? " was" : "s were");
    compose(&line, LOG_WARN, text);
    memcpy(out, line.text, line.used);
    return line.used;
}

void log_start(void)
{
    log_ring_start(say_dropped);
}

void log_stop(void)
{
    log_ring_stop();
}

/* ---- requests ---- */

static void add_text(struct line *line, const char *key, const char *value)
{
    bool quote = setup.json || value[strcspn(value, " \"\\=")] || !*value;
    add(line, setup.json ? ", \"%s\": " : " %s=", key);
    add(line, "%s", quote ? "\"" : "");
    add_escaped(line, value);
    add(line, "%s", quote ? "\"" : "");
}

static void add_number(struct line *line, const char *key, long long value)
{
    add(line, setup.json ? ", \"%s\": %lld" : " %s=%lld", key, value);
}

/* Whoever knows a session's id can read and change the session, so "/sessions/#" and a hash stand for it, also where the
   path is none of ours. */
static void add_path(struct line *line, const struct request *request)
{
    static const char sessions[] = "/sessions/";
    const char *id = strstr(request->target, sessions);
    char text[40];
    if (id) {
        id += sizeof sessions - 1;
        snprintf(text, sizeof text, "%s#%016llx", sessions, (unsigned long long)siphash(setup.key, id, strlen(id)));
    }
    add_text(line, "path", id ? text : request->target);
}

static void begin_request(struct line *line, enum log_level level, const char *event, const struct request *request)
{
    begin(line, level);
    add_text(line, setup.json ? "message" : "event", event);
    add_text(line, "id", request->id);
    add_text(line, "method", request->method);
    add_path(line, request);
    add_number(line, "status", request->status);
    add_number(line, "bytes_in", (long long)request->body_bytes);
    if (request->model)
        add_text(line, "model", request->model->name);
}

/* The end of a request's line, which goes out. */
static void end_request(struct line *line, const struct request *request)
{
    add_number(line, "total_us", (clock_ns() - request->timing.accepted) / 1000);
    end(line);
    log_ring_line(line->text, line->used);
}

void log_stream(const struct request *request)
{
    struct line line;
    if (setup.level > LOG_INFO)
        return;
    begin_request(&line, LOG_INFO, "stream", request);
    end_request(&line, request);
}

void log_request(const struct request *request)
{
    const struct request_timing *t = &request->timing;
    bool probe = request->route->kind == ROUTE_PROBE && request->route->answer && request->status / 100 != 4;
    struct line line;
    enum log_level level = request->status >= 500 ? LOG_WARN : LOG_INFO;
    if (probe || request_was_refused(request)) /* of those there may be very many; they are logged by their number */
        level = LOG_DEBUG;
    if (level < setup.level)
        return;
    begin_request(&line, level, "request", request);
    if (request->code)
        add_text(&line, "code", request->code);
    add_number(&line, "bytes_out", (long long)(request->stream ? request->stream->taken : request->text_bytes));
    if (request->prediction) {
        add_number(&line, "rows", (long long)request->rows);
        add_number(&line, "timesteps", (long long)request->timesteps);
        add_number(&line, "queue_us", t->queue / 1000);
        add_number(&line, "decode_us", t->decode / 1000);
        add_number(&line, "compute_us", t->compute / 1000);
        add_number(&line, "encode_us", t->encode / 1000);
    }
    end_request(&line, request);
}
