/* Log lines on standard error, as text or JSON. */
#ifndef SERVER_BASE_LOG_H
#define SERVER_BASE_LOG_H

#include "config/problems.h"
#include "log_ring.h"

#include <stdbool.h>

/* LOG_READY is information that every level shows: the line with the URL. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_READY };

/* Call once, before threads start. level and format are those of the settings. */
void log_setup(const char *format, const char *level);

/* From now on a thread writes the lines, so that no call waits for the reader of the log. Before this call, and without
   a thread, lines are written directly. */
void log_start(void);
/* Write the remaining lines, for at most a second. */
void log_stop(void);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line for each problem; as text they look as `check` prints them. */
void log_problems(const struct problems *problems);

/* A line with an event, and with keys and values, while it is assembled. A long text is cut and ends with dots. A key
   and its value that do not fit are left out. Text values are escaped as in JSON strings, also in a log of text, so
   that no text of a client can forge a line. */
struct log_entry {
    char text[LOG_LINE_BYTES];
    size_t used;
};

/* Whether lines of this level are written at all. */
bool log_shows(enum log_level level);
void log_begin(struct log_entry *entry, enum log_level level, const char *event);
void log_add_text(struct log_entry *entry, const char *key, const char *value);
void log_add_number(struct log_entry *entry, const char *key, long long value);
/* The entry is whole: write it. */
void log_write(struct log_entry *entry);

#endif
