/* Open sockets and their deadlines: a client that sends or reads too slowly is cut, however steadily it drips. */
#ifndef SERVER_CONNECTIONS_H
#define SERVER_CONNECTIONS_H

#include <pthread.h>
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
};

struct connection {
    struct connection *next, **self;
    int fd;
    enum connection_stage stage;
    int64_t began_ns;  /* when the stage began */
    uint64_t progress; /* bytes of the body so far, or of the answer */
    bool unread;       /* it was answered before its body had come; only the I/O thread looks at that */
};

struct connections {
    pthread_mutex_t lock; /* guards all below and the connections; no other lock is taken under it */
    struct connection *first;
    size_t count;
    int64_t read_timeout_ns, idle_timeout_ns;
    bool draining; /* idle connections are cut at once */
};

/* Slowest rate at which a body or an answer may move once the time-out is used up. */
enum { CONNECTION_MIN_BYTES_PER_S = 16384 };

void connections_init(struct connections *all, int64_t read_timeout_ms, int64_t idle_timeout_ms);
void connections_close(struct connections *all);

/* A socket was opened; NULL when out of memory. */
struct connection *connection_open(struct connections *all, int fd);
/* It is about to be closed (its fd is open still). */
void connection_close(struct connections *all, struct connection *connection);

/* The next stage begins. */
void connection_stage(struct connections *all, struct connection *connection, enum connection_stage stage,
                      uint64_t bytes);
/* More of a body has come. */
void connection_progress(struct connections *all, struct connection *connection, uint64_t bytes);

/* The client does not read: when the socket is closed, what it has not taken is thrown away, and the kernel keeps nothing. */
void connection_give_up(const struct connection *connection);

/* Shut down every socket whose stage is past its deadline; a client that was sending a request gets a 408 before.
   Returns how many. Whoever owns the sockets sees them end and closes them. */
size_t connections_reap(struct connections *all, int64_t now_ns);

/* From now on idle connections are cut. */
void connections_drain(struct connections *all);

/* How many are open. */
size_t connections_count(struct connections *all);

#endif
