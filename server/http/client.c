/* Half-closed and vanished clients. */
#include "client.h"

#include "connections.h"

#include <gnutls/gnutls.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum client_state client_state(int fd)
{
    struct pollfd client = {.fd = fd, .events = POLLRDHUP};
    if (poll(&client, 1, 0) <= 0)
        return CLIENT_THERE;
    return client.revents & (POLLERR | POLLHUP | POLLNVAL) ? CLIENT_GONE : CLIENT_HALF_CLOSED;
}

void client_send(const struct connection *connection, const char *bytes, size_t n)
{
    ssize_t sent = 0;
    if (!connection->tls)
        sent = send(connection->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
    else if (connection->spoken)
        sent = gnutls_record_send(connection->tls, bytes, n); /* the socket does not block */
    (void)sent;
}

void client_ask(const struct connection *connection)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    int unacked = 0;
    /* With nothing before it in the kernel, it goes out whole; else what is there asks already. */
    if (ioctl(connection->fd, SIOCOUTQ, &unacked) || unacked)
        return;
    client_send(connection, text, sizeof text - 1); /* the state is looked at again */
}

uint64_t connection_address(const void *address)
{
    const struct sockaddr *any = address;
    uint64_t key = 0;
    if (any && any->sa_family == AF_INET) {
        const struct sockaddr_in *v4 = address;
        key = (uint64_t)0xffff << 32 | ntohl(v4->sin_addr.s_addr);
    } else if (any && any->sa_family == AF_INET6) {
        const unsigned char *bytes = ((const struct sockaddr_in6 *)address)->sin6_addr.s6_addr;
        bool mapped = IN6_IS_ADDR_V4MAPPED((const struct in6_addr *)(const void *)bytes);
        for (size_t i = 0; i < sizeof key; i++)
            key = key << 8 | bytes[mapped ? i + 8 : i];
    }
    return key;
}
