/* Log lines: text for people, JSON for machines. */
#include "log.h"

#include "clock.h"
#include "routes.h"
#include "server.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static struct {
    bool json;
    enum log_level level;
} setup = {.level = LOG_INFO};

static const char *const level_names[] = {"debug", "info", "warn", "error", "info"};

void log_setup(const char *format, const char *level)
{
    setup.json = !strcmp(format, "json");
    for (size_t i = 0; i < 4; i++)
        if (!strcmp(level_names[i], level))
            setup.level = (enum log_level)i;
}

/* A line being put together; what does not fit is cut. */
struct line {
    char text[2048];
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
            add(line, "%c", c);
    }
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
    ssize_t written = write(STDERR_FILENO, line->text, line->used);
    (void)written; /* a log that cannot be written must not stop the server */
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
    begin(&line, level);
    add(&line, setup.json ? ", \"message\": \"" : " ");
    if (setup.json) {
        add_escaped(&line, text);
        add(&line, "\"");
    } else {
        add(&line, "%s", text);
    }
    end(&line);
}

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
    begin(&line, level);
    add_text(&line, setup.json ? "message" : "event", "request");
    add_text(&line, "id", request->id);
    add_text(&line, "method", request->method);
    add_text(&line, "path", request->target);
    add_number(&line, "status", request->status);
    add_number(&line, "bytes_in", (long long)request->body_bytes);
    add_number(&line, "bytes_out", (long long)request->text_bytes);
    if (request->model)
        add_text(&line, "model", request->model->name);
    if (request->prediction) {
        add_number(&line, "rows", (long long)request->rows);
        add_number(&line, "timesteps", (long long)request->timesteps);
        add_number(&line, "queue_us", t->queue / 1000);
        add_number(&line, "decode_us", t->decode / 1000);
        add_number(&line, "compute_us", t->compute / 1000);
        add_number(&line, "encode_us", t->encode / 1000);
    }
    add_number(&line, "total_us", (clock_ns() - t->accepted) / 1000);
    end(&line);
}
