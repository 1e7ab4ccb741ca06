/* The line of the log that says that the server is ready. */
#ifndef SERVER_CLI_READY_LINE_H
#define SERVER_CLI_READY_LINE_H

struct allowance;
struct server;

/* Log the line: the URL, the models with their versions, the number of workers and its reason, the kernels, and the
   bounds of memory. */
void log_ready(const struct server *server, const char *url, const struct allowance *allowance);

#endif
