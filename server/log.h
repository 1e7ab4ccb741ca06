/* Log lines on standard error, as text or JSON; one write each, so lines of threads never mix. */
#ifndef SERVER_LOG_H
#define SERVER_LOG_H

#include "request.h"

/* LOG_READY is info that no level hides: the line that names the URL. */
enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_READY };

/* Once, before threads start. level and format are those of the settings. */
void log_setup(const char *format, const char *level);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The line of a finished request. Probes and metrics are logged at level debug. */
void log_request(const struct request *request);

#endif
