/* The thread that accepts connections and distributes them to the I/O threads. The kernel would distribute connections by a
   hash of their addresses (SO_REUSEPORT): of 64 connections, one of two threads would often get 40. Connections would
   also wait in the backlog of a busy thread. */
#ifndef SERVER_HTTP_ACCEPTOR_H
#define SERVER_HTTP_ACCEPTOR_H

#include <stdbool.h>
#include <sys/socket.h>

struct acceptor;

/* The receiver of the connections. Only the acceptor's thread calls it. */
struct acceptor_target {
    void *cls;
    /* Whether there is room for a connection. Without room, connections wait in the backlog. waited_ms is the time that
       they have waited. */
    bool (*has_room)(void *cls, int waited_ms);
    /* A connection; the target closes it. */
    void (*take)(void *cls, int fd, const struct sockaddr *address, socklen_t size);
};

/* NULL without a thread. */
struct acceptor *acceptor_start(int listener, const struct acceptor_target *target);

/* End the thread; the listening socket stays open. NULL is fine. */
void acceptor_stop(struct acceptor *acceptor);

/* Accept all connections in the backlog, and those that come within the given milliseconds, even if there is no
   room. */
void acceptor_take_all(int listener, const struct acceptor_target *target, int most_ms);

#endif
