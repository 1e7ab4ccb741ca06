/* The listening socket: TCP, or a UNIX socket ("unix:/path"). */
#ifndef SERVER_HTTP_LISTENER_H
#define SERVER_HTTP_LISTENER_H

#include <stddef.h>
#include <stdint.h>

/* Listen; -1 with a sentence in error. mode: of the file of a UNIX socket, 0: the usual one. A UNIX socket that no process listens on any more is replaced. */
int listener_open(const char *host, int64_t port, int mode, char *error, size_t error_size);

/* "http://127.0.0.1:8080", "unix:/path" */
void listener_url(int listener, const char *scheme, char *out, size_t size);

/* Let no further connection begin. Those that have begun still come into the backlog: when a socket is shut down at once,
   the kernel resets connections whose client counts them as accepted. */
void listener_refuse_new(int listener, const char *host);

/* Remove the file of a UNIX socket. The socket stays open. */
void listener_unlink(const char *host);

#endif
