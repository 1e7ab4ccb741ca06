/* Whether the TLS sessions of a thread receive and send bytes, which libmicrohttpd does not see. */
#ifndef SERVER_HTTP_TLS_PROGRESS_H
#define SERVER_HTTP_TLS_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* The pull function of GnuTLS's session: reads from a socket that does not block. transport is the descriptor. */
ssize_t tls_progress_receive(void *transport, void *bytes, size_t n);

/* Call it after each read or send on a session's socket, with its result; errno is that of the call. */
void tls_progress_note(ssize_t n);

/* Whether sessions of this thread waited for their clients since the last call, and none received or sent anything. */
bool tls_progress_waits(void);

#endif
