/* Connections that were answered before their request was read whole: what the client still sends is thrown away for a
   while, for closing at once would reset the connection, and the client might lose the answer. Source: RFC 9112, 9.6. */
#ifndef SERVER_HTTP_LINGER_H
#define SERVER_HTTP_LINGER_H

#include <stddef.h>

struct lingerers;

/* Most sockets at a time. */
enum { LINGER_MOST = 1024 };

/* At most so many sockets at a time; further ones are closed at once. NULL without a thread. */
struct lingerers *linger_start(size_t most);

/* A socket whose answer has been sent and which its owner is about to close: a duplicate of it is kept. */
void linger_add(struct lingerers *linger, int fd);

/* Close what lingers; NULL is fine. */
void linger_stop(struct lingerers *linger);

#endif
