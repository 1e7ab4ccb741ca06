/* Log lines on standard error, as text or JSON. */
#ifndef SERVER_BASE_LOG_H
#define SERVER_BASE_LOG_H

#include "config/problems.h"
#include "server/run/request.h"

/* LOG_READY is info that no level hides: the line that names the URL. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_READY };

/* Once, before threads start. level and format are those of the settings. */
void log_setup(const char *format, const char *level);

/* From now on a thread writes the lines, so that no call waits for whoever reads them. Without it they are written at once. */
void log_start(void);
/* Write what is left, for a second at most. */
void log_stop(void);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A line for each problem; as text they look as `check` prints them. */
void log_problems(const struct problems *problems);

/* The line of a finished request. Probes and metrics are logged at level debug. */
void log_request(const struct request *request);
/* The line of a stream that begins: "stream"; log_request follows at its end. */
void log_stream(const struct request *request);

#endif
