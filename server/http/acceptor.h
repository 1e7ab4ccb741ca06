/* The thread that takes connections from the listening socket and shares them out, where there are several I/O threads.
   The kernel would share connections out by a hash of their addresses (SO_REUSEPORT): of 64 connections, one of two
   threads would often have 40. And a busy thread would leave those in its own backlog waiting. */
#ifndef SERVER_HTTP_ACCEPTOR_H
#define SERVER_HTTP_ACCEPTOR_H

#include <stdbool.h>
#include <sys/socket.h>

struct acceptor;

/* Who gets the connections. Called by the acceptor's thread alone, until it has ended. */
struct acceptor_target {
    void *cls;
    /* Whether there is a place; while there is none, connections wait in the backlog. waited_ms: so long already. */
    bool (*has_room)(void *cls, int waited_ms);
    /* A connection; the target closes it. */
    void (*take)(void *cls, int fd, const struct sockaddr *address, socklen_t size);
};

/* NULL without a thread. */
struct acceptor *acceptor_start(int listener, const struct acceptor_target *target);

/* End the thread; the listening socket stays open. NULL is fine. */
void acceptor_stop(struct acceptor *acceptor);

/* Take all that wait in the backlog, and those that come within so many milliseconds, whether there is room or not. */
void acceptor_take_all(int listener, const struct acceptor_target *target, int most_ms);

#endif
