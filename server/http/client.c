/* Half-closed and vanished clients. */
#include "client.h"

#include <linux/sockios.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum client_state client_state(int fd)
{
    struct pollfd client = {.fd = fd, .events = POLLRDHUP};
    if (poll(&client, 1, 0) <= 0)
        return CLIENT_THERE;
    return client.revents & (POLLERR | POLLHUP | POLLNVAL) ? CLIENT_GONE : CLIENT_HALF_CLOSED;
}

void client_ask(int fd)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";
    int unacked = 0;
    /* With nothing before it in the kernel, it goes out whole; else what is there asks already. */
    if (ioctl(fd, SIOCOUTQ, &unacked) || unacked)
        return;
    ssize_t sent = send(fd, text, sizeof text - 1, MSG_DONTWAIT | MSG_NOSIGNAL);
    (void)sent; /* the state is looked at again */
}
