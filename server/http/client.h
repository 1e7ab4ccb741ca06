/* The state of the client at the other end of a socket. */
#ifndef SERVER_HTTP_CLIENT_H
#define SERVER_HTTP_CLIENT_H

#include <stddef.h>
#include <stdint.h>

struct connection;

enum client_state {
    CLIENT_THERE,
    CLIENT_HALF_CLOSED, /* it sends no more: it waits for its answer (shutdown), or has gone (close) */
    CLIENT_GONE,        /* the connection was reset */
};

enum client_state client_state(int fd);

/* Send an interim answer to a client that has closed its sending side, before any byte of the next answer was sent. A
   waiting client ignores it (RFC 9110, 15.2). If the client has gone, its kernel resets the connection. Only for
   HTTP/1.1. */
void client_ask(const struct connection *connection);

/* Send the bytes of an answer that ends the connection, over TLS if the connection has it, while the I/O thread sends
   nothing. Bytes that the kernel does not take immediately are lost. */
void client_send(const struct connection *connection, const char *bytes, size_t n);

/* The identity of a socket address (struct sockaddr): the IPv4 address, or the first 64 bits of the IPv6 address,
   because a single host may use all addresses of a /64. 0: unknown. */
uint64_t connection_address(const void *address);

#endif
