/* What the server is doing: GET /debug, and SIGUSR1. */
#ifndef SERVER_API_DEBUG_PAGE_H
#define SERVER_API_DEBUG_PAGE_H

struct buffer;
struct services;

/* One object of JSON, each of its members on a line of its own. Secrets are masked. */
void debug_page_write(const struct services *services, struct buffer *out);

/* The same to the log, a line for each member. */
void debug_page_log(const struct services *services);

#endif
