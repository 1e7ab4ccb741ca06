/* epoll_wait of the I/O threads. */
#ifndef SERVER_HTTP_EPOLL_H
#define SERVER_HTTP_EPOLL_H

#include <stdbool.h>

/* Whether the calling thread, from now on, lets other threads run first when it calls epoll_wait. */
void epoll_yield_first(bool yes);

#endif
