/* Log lines: text for people, JSON for machines. */
#include "log.h"

#include "log_ring.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

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

static const char dots[] = "..."; /* end a text that was cut */

/* Bytes that are reserved for the end of a line: a quote, a brace, a line break, and vsnprintf's NUL. */
enum { END_BYTES = 4 };

/* Bytes that may still be added. */
static size_t room_in(const struct log_entry *entry)
{
    size_t most = sizeof entry->text - END_BYTES;
    return entry->used < most ? most - entry->used : 0;
}

/* Append the whole text, or nothing if it does not fit: half a key or number would not be JSON. */
static bool add(struct log_entry *entry, const char *format, ...) __attribute__((format(printf, 2, 3)));
static bool add(struct log_entry *entry, const char *format, ...)
{
    size_t room = room_in(entry);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(entry->text + entry->used, room + 1, format, args);
    va_end(args);
    if (n < 0 || (size_t)n > room)
        return false;
    entry->used += (size_t)n;
    return true;
}

static void add_char(struct log_entry *entry, char c)
{
    if (room_in(entry))
        entry->text[entry->used++] = c;
}

/* Append a closing character. The reserved bytes have room for it. */
static void add_end(struct log_entry *entry, char c)
{
    entry->text[entry->used++] = c;
}

/* Append the content of a JSON string. Text lines are escaped, too, so that no text of a client can forge a line. A
   text that is too long is cut between two characters and ends with dots. */
static void add_escaped(struct log_entry *entry, const char *text, size_t most)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        bool quoted = c == '"' || c == '\\', coded = c < 0x20 || c >= 0x7f;
        size_t bytes = quoted ? 2 : coded ? 6 : 1;
        if (bytes + strlen(dots) > most) {
            add(entry, "%.*s", (int)most, dots);
            return;
        }
        if (quoted)
            add_char(entry, '\\');
        if (coded)
            add(entry, "\\u%04x", c);
        else
            add_char(entry, *text);
        most -= bytes;
    }
}

/* Append a text without its control characters, which a name in a file may have. */
static void add_printable(struct log_entry *entry, const char *text)
{
    for (; *text; text++)
        add_char(entry, (unsigned char)*text < 0x20 || *text == 0x7f ? '?' : *text);
}

static void begin_entry(struct log_entry *entry, enum log_level level)
{
    struct timespec now;
    struct tm utc;
    char stamp[32];
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &utc);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    entry->used = 0;
    add(entry, setup.json ? "{\"time\": \"%s.%03ldZ\", \"level\": \"%s\"" : "%s.%03ldZ %s", stamp,
        now.tv_nsec / 1000000, level_names[level]);
}

static void end_entry(struct log_entry *entry)
{
    if (setup.json)
        add_end(entry, '}');
    add_end(entry, '\n');
}

/* A whole line with a sentence. */
static void compose(struct log_entry *entry, enum log_level level, const char *text)
{
    begin_entry(entry, level);
    add(entry, setup.json ? ", \"message\": \"" : " ");
    if (setup.json) {
        add_escaped(entry, text, room_in(entry));
        add_end(entry, '"');
    } else {
        add_printable(entry, text);
    }
    end_entry(entry);
}

void log_line(enum log_level level, const char *format, ...)
{
    char text[1600];
    struct log_entry entry;
    if (level < setup.level)
        return;
    va_list args;
    va_start(args, format);
    if (vsnprintf(text, sizeof text, format, args) >= (int)sizeof text)
        memcpy(text + sizeof text - sizeof dots, dots, sizeof dots);
    va_end(args);
    compose(&entry, level, text);
    log_ring_line(entry.text, entry.used);
}

static void log_problem(enum log_level level, const char *prefix, const char *text)
{
    struct log_entry entry = {.used = 0};
    if (setup.json) {
        log_line(level, "%s", text);
    } else if (level >= setup.level) {
        add(&entry, "%s", prefix);
        add_printable(&entry, text);
        end_entry(&entry);
        log_ring_line(entry.text, entry.used);
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
    struct log_entry entry;
    char text[160];
    snprintf(text, sizeof text, "%llu log line%s dropped: standard error was not read in time",
             (unsigned long long)dropped, dropped == 1 ? " was" : "s were");
    compose(&entry, LOG_WARN, text);
    memcpy(out, entry.text, entry.used);
    return entry.used;
}

void log_start(void)
{
    log_ring_start(say_dropped);
}

void log_stop(void)
{
    log_ring_stop();
}

/* ---- entries ---- */

bool log_shows(enum log_level level)
{
    return level >= setup.level;
}

void log_begin(struct log_entry *entry, enum log_level level, const char *event)
{
    begin_entry(entry, level);
    log_add_text(entry, setup.json ? "message" : "event", event);
}

void log_add_text(struct log_entry *entry, const char *key, const char *value)
{
    bool quote = setup.json || value[strcspn(value, " \"\\=")] || !*value;
    if (!add(entry, setup.json ? ", \"%s\": %s" : " %s=%s", key, quote ? "\"" : ""))
        return;
    add_escaped(entry, value, room_in(entry) / 4 * 3); /* the rest has room, too */
    if (quote)
        add_end(entry, '"');
}

void log_add_number(struct log_entry *entry, const char *key, long long value)
{
    add(entry, setup.json ? ", \"%s\": %lld" : " %s=%lld", key, value);
}

void log_write(struct log_entry *entry)
{
    end_entry(entry);
    log_ring_line(entry->text, entry->used);
}
