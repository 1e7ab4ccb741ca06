/* epoll_wait, for the whole process: the linker prefers this function to the C library's, also for libmicrohttpd.

   After a full array of events, libmicrohttpd 0.9.75 to 1.0.1 waits for more events before it handles these (MHD_epoll,
   which has an array of 128). If exactly 128 connections were ready, their requests would wait for an event of another
   connection. So the array never becomes full. The next call returns the other events.

   During a handshake over TLS, libmicrohttpd does not wait at all (tls_progress.c). So this function waits, as soon as it
   was called in vain several times: one call follows each step of a connection, and only handshakes take no step. */
#include "tls_progress.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>

enum {
    CALLS_IN_VAIN = 8, /* more than a connection has steps between two reads or writes */
    WAIT_MS = 10,      /* events end it */
};

__attribute__((visibility("default"))) int epoll_wait(int poller, struct epoll_event *events, int most, int timeout_ms)
{
    static _Thread_local int in_vain; /* calls in a row with the timeout 0, without an event and without progress */
    in_vain = tls_progress_waits() && !timeout_ms ? in_vain + 1 : 0;
    if (in_vain > CALLS_IN_VAIN) {
        in_vain = CALLS_IN_VAIN;
        timeout_ms = WAIT_MS;
    }
    int n = epoll_pwait(poller, events, most > 1 ? most - 1 : most, timeout_ms, NULL);
    if (n)
        in_vain = 0;
    return n;
}
