/* What a socket tells of the client at its other end. */
#ifndef SERVER_HTTP_CLIENT_H
#define SERVER_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

struct connection;

enum client_state {
    CLIENT_THERE,
    CLIENT_HALF_CLOSED, /* it sends no more: it may wait for its answer (shutdown), or be gone (close) */
    CLIENT_GONE,        /* the connection was reset */
};

enum client_state client_state(int fd);

/* Send an interim answer to a client that has half closed, and of whose next answer nothing was sent: one that waits drops
   it (RFC 9110, 15.2), the kernel of one that has gone resets the connection. Only for HTTP/1.1. */
void client_ask(const struct connection *connection);

/* Send bytes of our own, over TLS where the connection has it: of an answer that ends the connection, while the I/O thread
   sends nothing. What the kernel does not take at once is lost. */
void client_send(const struct connection *connection, const char *bytes, size_t n);

/* Who a socket address (struct sockaddr) belongs to: an IPv4 address, or the first 64 bits of an IPv6 one, which a single
   host may have all addresses of. 0: unknown. */
uint64_t connection_address(const void *address);

#endif
