/* The log's lines of requests. */
#ifndef SERVER_HTTP_ACCESS_LOG_H
#define SERVER_HTTP_ACCESS_LOG_H

struct request;

/* Once, before requests come: the key of the hashes that stand for ids of sessions. */
void access_log_setup(void);

/* The line of a finished request. Probes and metrics are logged at level debug. */
void log_request(const struct request *request);
/* The line of a stream that begins: "stream"; log_request follows at its end. */
void log_stream(const struct request *request);

#endif
