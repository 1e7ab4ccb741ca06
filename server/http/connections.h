/* Open sockets and their deadlines: a client that sends or reads too slowly is cut, however steadily it drips. Each I/O
   thread has a table of its own. The limits hold over all tables together: when they are full, a new connection takes the
   place of the oldest one that has no request. */
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
    STAGE_CUT,    /* it was shut down, and its owner is about to close it; no other stage follows */
};

/* Connections of like stages, that which has been in its stage longest first. */
struct connection_queue {
    struct connection *first, *last;
};

struct connection_table;

struct connection {
    struct connection_table *table;   /* of the I/O thread that has it */
    struct connection *next, *before; /* in its queue */
    int64_t look_ns;                  /* not after its deadline; the heap of its table is ordered by this time */
    size_t heap_at;                   /* its place in the heap; SIZE_MAX: it was cut, and has none */
    int fd;
    enum connection_stage stage;
    uint64_t address; /* of the client; see connection_address in client.h */
    int64_t began_ns; /* when the stage began */
    int64_t
        until_ns; /* when it is cut; STAGE_IDLE: until when the last answer may lie in the kernel, INT64_MAX: it does not */
    uint64_t acked;    /* bytes that the client had acknowledged when that was last looked at */
    int unacked;       /* and those that lay in the kernel */
    size_t body_bytes; /* STAGE_BODY: memory that the body has */
    void *tls;         /* GnuTLS's session; NULL: a bare socket. A handle: only the I/O thread reads from it */
    struct tls_credentials *credentials; /* that it uses */
    struct tls_output output;            /* of that session */
    bool spoken; /* a request has come, so the handshake is over; and its connection has not been given up yet */
    bool unread; /* it was answered before its body had come; only the I/O thread looks at that, */
    bool spare;  /* and at that: more than `most` were open when it came */
};

struct connection_limits {
    int64_t read_timeout_ms, idle_timeout_ms;
    size_t most;  /* connections that are served */
    size_t spare; /* beyond them, for probes and refusals */
};

/* The connections of one I/O thread. Other threads take the lock seldom: for deadlines, and when the tables are full. */
struct connection_table {
    _Alignas(64) pthread_mutex_t lock; /* guards all below and the connections; no other lock is taken under it */
    struct connection_queue fresh, idle, busy, cut;
    struct connection **heap; /* by look_ns: the earliest first */
    size_t n_heap, heap_room; /* room for all connections of the table */
    size_t count;             /* connections, those that were cut among them */
    bool draining;            /* idle connections are cut at once */
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
    /* An answer's reader may have so much to its credit, since its kernel takes what comes in bursts: it opens a closed
       window when a sixteenth of its buffer (tcp_rmem, up to 32 MiB) is free. */
    CONNECTION_BURST_BYTES = 1 << 21,
    /* Answers up to this size are on the client's credit from the start. */
    CONNECTION_SMALL_ANSWER = 1 << 16,
};

/* False when out of memory. */
bool connections_init(struct connections *all, size_t n_tables, const struct connection_limits *limits);
void connections_close(struct connections *all);

/* The I/O thread of a table has a new socket; NULL when out of memory. When more are open than `most`, the oldest of all
   tables that has no request is cut. */
struct connection *connection_open(struct connections *all, size_t table, int fd, uint64_t address);
/* It is about to be closed (its fd is open still). */
void connection_close(struct connections *all, struct connection *connection);

/* The next stage begins; bytes: of an answer, UINT64_MAX where its length is not known. */
void connection_stage(struct connections *all, struct connection *connection, enum connection_stage stage,
                      uint64_t bytes);
/* The library gives it up: nothing of our own is sent on it any more. */
void connection_leave(struct connection *connection);
/* More of a body has come. */
void connection_progress(struct connections *all, struct connection *connection, uint64_t bytes);

/* Whether the body of this connection may have so many bytes of the account. Several bodies that one address is sending may
   have half of it together; when they do, only bodies of less than connection_small_body grow. */
bool connection_may_hold(struct connections *all, const struct connection *connection, size_t bytes,
                         const struct memory *memory);
size_t connection_small_body(const struct connections *all, const struct memory *memory);
/* So many it has. */
void connection_holds(struct connections *all, struct connection *connection, size_t bytes);

/* The client does not read: when the socket is closed, what it has not taken is thrown away, and the kernel keeps nothing. */
void connection_give_up(const struct connection *connection);

/* Shut down every socket whose stage is past its deadline (only those are looked at); a client that was sending a request gets a 408 before.
   Returns how many. Whoever owns the sockets sees them end and closes them. */
size_t connections_reap(struct connections *all, int64_t now_ns);

/* From now on idle connections are cut. */
void connections_drain(struct connections *all);

/* How many are in each stage, added to counts: a struct connections, as counters.h calls it. */
void connections_stages(void *connections, size_t counts[]);

/* How many there are in all tables. */
size_t connections_count(const struct connections *all);

/* Whether this one came when more than `most` were open, without those that were cut, and there is no place for it yet. For
   the thread that opens connections. */
bool connection_is_spare(struct connections *all, struct connection *connection);

#endif
