/* Connections that were answered before their request was read whole: what the client still sends is thrown away for a
   while, for closing at once would reset the connection, and the client might lose the answer. Source: RFC 9112, 9.6. */
#ifndef SERVER_LINGER_H
#define SERVER_LINGER_H

#include <stdbool.h>

struct lingerers;

/* NULL without a thread. */
struct lingerers *linger_start(void);

/* A socket whose answer has been sent and which its owner is about to close: a duplicate of it is kept. */
void linger_add(struct lingerers *linger, int fd);

/* Close what lingers; NULL is fine. */
void linger_stop(struct lingerers *linger);

#endif
