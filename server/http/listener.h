/* The listening socket: TCP, or a UNIX socket ("unix:/path"). */
#ifndef SERVER_HTTP_LISTENER_H
#define SERVER_HTTP_LISTENER_H

#include <stddef.h>
#include <stdint.h>

/* Listen. Returns -1 with a sentence in error. mode is the mode of a UNIX socket's file, 0: the default. A UNIX socket
   on which no process listens any more is replaced. */
int listener_open(const char *host, int64_t port, int mode, char *error, size_t error_size);

/* "http://127.0.0.1:8080", "unix:/path" */
void listener_url(int listener, const char *scheme, char *out, size_t size);

/* Let no new connection begin. Connections that have begun still come into the backlog. If the socket were shut down
   immediately, the kernel would reset connections that their clients consider open. */
void listener_refuse_new(int listener, const char *host);

/* Remove the file of a UNIX socket. The socket stays open. */
void listener_unlink(const char *host);

#endif
