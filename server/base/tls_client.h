/* A TLS client, for Redis and for the command health. */
#ifndef SERVER_BASE_TLS_CLIENT_H
#define SERVER_BASE_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct tls_client;

/* Files (PEM); "" or NULL is none. */
struct tls_client_files {
    const char *ca;                /* authorities that the peer's certificate may be of; none: the system's */
    const char *certificate, *key; /* the client's own certificate and key, if the peer requires them */
    const char *pinned;            /* the expected certificate of the peer: nothing else is checked */
};

/* Do the handshake on a connected socket, within the socket's time-outs. Returns NULL with a sentence in error.
   *timeout says that nothing came in time. The caller still owns the socket. */
struct tls_client *tls_client_open(int fd, const char *host, const struct tls_client_files *files, char *error,
                                   size_t error_size, bool *timeout);
void tls_client_close(struct tls_client *client); /* NULL is fine */

/* As send and recv: -1 with errno (EAGAIN: nothing in time; ECONNRESET: TLS failed), 0 at the end. */
ssize_t tls_client_send(struct tls_client *client, const void *bytes, size_t n);
ssize_t tls_client_recv(struct tls_client *client, void *bytes, size_t n);

#endif
