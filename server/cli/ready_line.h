/* The line that says the server is ready, and with what. */
#ifndef SERVER_CLI_READY_LINE_H
#define SERVER_CLI_READY_LINE_H

struct allowance;
struct server;

/* Log it: the URL, the models with their versions, the workers and why so many, the kernels, bounds of memory. */
void log_ready(const struct server *server, const char *url, const struct allowance *allowance);

#endif
