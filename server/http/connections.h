/* Open sockets and their deadlines: a client that sends or reads too slowly is cut, even if it always sends a little.
   Each I/O thread has its own table. The limits hold for all tables together: when they are full, a new connection
   replaces the oldest one without a request. */
#ifndef SERVER_HTTP_CONNECTIONS_H
#define SERVER_HTTP_CONNECTIONS_H

#include "server/base/memory.h"
#include "tls_output.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum connection_stage {
    STAGE_NEW,    /* nothing has come yet, or not a whole first line */
    STAGE_HEAD,   /* the first line has come, the rest of the head is awaited */
    STAGE_IDLE,   /* kept alive; the next head is awaited */
    STAGE_BODY,   /* a body is being sent */
    STAGE_WAIT,   /* a worker has the request: no deadline of the socket */
    STAGE_ANSWER, /* the answer is being read */
    STAGE_CUT,    /* it was shut down, and its owner will close it; this is the last stage */
};

/* Connections of similar stages, in the order in which they came into this queue. */
struct connection_queue {
    struct connection *first, *last;
};

struct connection_table;

struct connection {
    struct connection_table *table;   /* of the I/O thread that has it */
    struct connection *next, *before; /* in its queue */
    int64_t look_ns;                  /* the time of the next check, not after the deadline; the heap is ordered by
                                         it */
    size_t heap_at;                   /* its position in the heap; SIZE_MAX: it was cut, and has none */
    int fd;
    enum connection_stage stage;
    uint64_t address; /* of the client; see connection_address in client.h */
    int64_t began_ns; /* when the stage began */
    int64_t until_ns; /* when it is cut; STAGE_IDLE: until when the kernel may still hold the last answer, INT64_MAX: it
                     does not */
    uint64_t acked;   /* bytes that the client had acknowledged at the last check */
    int unacked;      /* bytes in the kernel at the last check */
    size_t body_bytes; /* STAGE_BODY: memory of the body */
    void *tls;         /* GnuTLS's session; NULL: a bare socket. A handle: only the I/O thread reads from it */
    struct tls_credentials *credentials; /* that it uses */
    struct tls_output output;            /* of that session */
    bool spoken; /* a request has come, so the handshake is over; and libmicrohttpd has not closed the connection yet */
    bool unread; /* it was answered before its body had come; only the I/O thread looks at that, */
    bool spare;  /* and at that: more than `most` were open when it came */
};

struct connection_limits {
    int64_t read_timeout_ms, idle_timeout_ms;
    size_t most;  /* connections that are served */
    size_t spare; /* beyond them, for probes and refusals */
};

/* The connections of one I/O thread. Other threads take the lock seldom: for deadlines, for the memory of large bodies,
   for /debug, and when the tables are full. */
struct connection_table {
    _Alignas(64) pthread_mutex_t lock; /* guards all below and the connections; no other lock is taken under it */
    struct connection_queue fresh, idle, busy, cut;
    struct connection **heap; /* by look_ns: the earliest first */
    size_t n_heap, heap_room; /* room for all connections of the table */
    size_t count;             /* connections, those that were cut among them */
    bool draining;            /* connections are cut after one second without a request */
};

struct connections {
    struct connection_table *tables;
    size_t n_tables;
    struct connection_limits limits;
    int64_t read_timeout_ns;
    atomic_size_t count; /* connections of all tables, */
    atomic_size_t open;  /* and those that were not cut */
};

enum {
    /* Slowest rate at which a body or an answer may move, measured over the time-out. */
    CONNECTION_MIN_BYTES_PER_S = 16384,
    /* The most credit of the reader of an answer. Its kernel acknowledges in bursts: it reopens a closed window only
       when a sixteenth of its buffer (tcp_rmem, up to 32 MiB) is free. */
    CONNECTION_BURST_BYTES = 1 << 21,
    /* Answers up to this size are within the client's initial credit. */
    CONNECTION_SMALL_ANSWER = 1 << 16,
};

/* False when out of memory. */
bool connections_init(struct connections *all, size_t n_tables, const struct connection_limits *limits);
void connections_close(struct connections *all);

/* Add a new socket of the table's I/O thread. Returns NULL if out of memory. If more than `most` are open, the oldest
   connection of all tables without a request is cut. */
struct connection *connection_open(struct connections *all, size_t table, int fd, uint64_t address);
/* Call before the fd of the connection is closed. */
void connection_close(struct connections *all, struct connection *connection);

/* The next stage begins; bytes: of an answer, UINT64_MAX where its length is not known. */
void connection_stage(struct connections *all, struct connection *connection, enum connection_stage stage,
                      uint64_t bytes);
/* libmicrohttpd closes the connection: the server sends no more bytes on it. */
void connection_leave(struct connection *connection);
/* More of a body has come. */
void connection_progress(struct connections *all, struct connection *connection, uint64_t bytes);

/* Whether the body of this connection may take the given bytes of the account. Several bodies from one address may take
   half of the account together. When they have taken it, only bodies smaller than connection_small_body grow. */
bool connection_may_hold(struct connections *all, const struct connection *connection, size_t bytes,
                         const struct memory *memory);
size_t connection_small_body(const struct connections *all, const struct memory *memory);
/* Set the memory of the connection's body. */
void connection_holds(struct connections *all, struct connection *connection, size_t bytes);

/* The client does not read: when the socket is closed, the kernel drops all unsent bytes. */
void connection_give_up(const struct connection *connection);

/* Shut down every socket past its deadline; sockets whose next check is not due are not looked at. A client whose
   request is not complete gets a 408 first. Returns the number of these sockets. The owner of a socket notices its end
   and closes it. */
size_t connections_reap(struct connections *all, int64_t now_ns);

/* From now on connections are closed after one second without a request. */
void connections_drain(struct connections *all);

/* How many are in each stage, added to counts: a struct connections, as counters.h calls it. */
void connections_stages(void *connections, size_t counts[]);

/* How many there are in all tables. */
size_t connections_count(const struct connections *all);

/* Whether this connection came when more than `most` were open (not counting those that were cut), and still has no
   place. For the thread that opens connections. */
bool connection_is_spare(struct connections *all, struct connection *connection);

#endif
