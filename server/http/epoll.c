/* epoll_wait, for the whole process: the linker prefers this function to the C library's, also for libmicrohttpd. After a
   full array of events, libmicrohttpd 0.9.75 to 1.0.1 waits for more events before it handles these (MHD_epoll, which has
   an array of 128). If exactly 128 connections were ready, their requests would wait for an event of another connection. */
#include <stddef.h>
#include <sys/epoll.h>

/* The array never becomes full. The next call returns the other events. */
__attribute__((visibility("default"))) int epoll_wait(int poller, struct epoll_event *events, int most, int timeout_ms)
{
    return epoll_pwait(poller, events, most > 1 ? most - 1 : most, timeout_ms, NULL);
}
