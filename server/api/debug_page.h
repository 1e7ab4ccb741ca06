/* What the server is doing: GET /debug, and SIGUSR1. */
#ifndef SERVER_API_DEBUG_PAGE_H
#define SERVER_API_DEBUG_PAGE_H

struct buffer;
struct services;

/* Write one JSON object, with each member on its own line. Secrets are masked. */
void debug_page_write(const struct services *services, struct buffer *out);

/* Write the same to the log, one line for each member. */
void debug_page_log(const struct services *services);

#endif
