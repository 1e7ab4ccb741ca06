/* TLS as a client: of Redis, and of a server whose health is asked for. */
#ifndef SERVER_BASE_TLS_CLIENT_H
#define SERVER_BASE_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_client;

/* Files (PEM); "" or NULL is none. */
struct tls_client_files {
    const char *ca;                /* authorities that the peer's certificate may be of; none: the system's */
    const char *certificate, *key; /* that the peer may ask for */
    const char *pinned;            /* the peer's certificate itself: nothing else is looked at */
};

/* Shake hands on a connected socket whose own time-outs hold. NULL with a sentence in error: *timeout tells that nothing came in
   time. The socket stays the caller's. */
struct tls_client *tls_client_open(int fd, const char *host, const struct tls_client_files *files, char *error,
                                   size_t error_size, bool *timeout);
void tls_client_close(struct tls_client *client); /* NULL is fine */

/* As send and recv: -1 with errno (EAGAIN: nothing in time; ECONNRESET: TLS failed), 0 at the end. */
ssize_t tls_client_send(struct tls_client *client, const void *bytes, size_t n);
ssize_t tls_client_recv(struct tls_client *client, void *bytes, size_t n);

#endif
