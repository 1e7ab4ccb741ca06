/* Connections that were answered before their request was read completely. For some time, the thread reads and drops
   what the client still sends: closing the socket immediately would reset the connection, and the client might lose the
   answer. Source: RFC 9112, 9.6. */
#ifndef SERVER_HTTP_LINGER_H
#define SERVER_HTTP_LINGER_H

#include <stddef.h>

struct lingerers;

/* Most sockets at a time. */
enum { LINGER_MOST = 1024 };

/* At most `most` sockets at a time; further ones are closed immediately. Returns NULL if no thread can be started. */
struct lingerers *linger_start(size_t most);

/* Keep a duplicate of a socket whose answer has been sent and which its owner will close. */
void linger_add(struct lingerers *linger, int fd);

/* Close all sockets and end the thread. The argument may be NULL. */
void linger_stop(struct lingerers *linger);

#endif
