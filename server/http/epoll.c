/* epoll_wait, for the whole process: the linker prefers this function to the C library's, also for libmicrohttpd.

   After a full array of events, libmicrohttpd 0.9.75 to 1.0.1 waits for more events before it handles these (MHD_epoll,
   which has an array of 128). If exactly 128 connections were ready, their requests would wait for an event of another
   connection. So the array never becomes full. The next call returns the other events.

   Several I/O threads share the requests, so each of them has less to do, and would sleep and be woken more often: about
   7 us each time. So such a thread lets other threads run first. Meanwhile they often finish or send further requests.
   With a single connection there is nothing to gather.

   During a handshake over TLS, libmicrohttpd does not wait at all (tls_progress.c). So this function waits, as soon as it
   was called in vain several times: one call follows each step of a connection, and only handshakes take no step. */
#include "epoll.h"
#include "tls_progress.h"

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/epoll.h>

enum {
    CALLS_IN_VAIN = 8, /* more than a connection has steps between two reads or writes */
    WAIT_MS = 10,      /* events end it */
    YIELDS = 4,        /* before a thread sleeps */
};

static _Thread_local int yields;

void epoll_yield_first(bool yes)
{
    yields = yes ? YIELDS : 0;
}

__attribute__((visibility("default"))) int epoll_wait(int poller, struct epoll_event *events, int most, int timeout_ms)
{
    static _Thread_local int in_vain; /* calls in a row with the timeout 0, without an event and without progress */
    in_vain = tls_progress_waits() && !timeout_ms ? in_vain + 1 : 0;
    if (in_vain > CALLS_IN_VAIN) {
        in_vain = CALLS_IN_VAIN;
        timeout_ms = WAIT_MS;
    }
    most = most > 1 ? most - 1 : most;
    int n = 0;
    for (int i = 0; !n && i < yields && (timeout_ms || !i); i++) {
        sched_yield();
        n = epoll_pwait(poller, events, most, 0, NULL);
    }
    if (!n)
        n = epoll_pwait(poller, events, most, timeout_ms, NULL);
    if (n)
        in_vain = 0;
    return n;
}
