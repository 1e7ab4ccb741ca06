/* Applies the requests of one session one at a time, in the order of their arrival. Requests of other sessions do not
   wait for them. A request arrives when its body is complete, if the raw bytes show its session; otherwise when it has
   been decoded. */
#ifndef SERVER_SESSION_TURNS_H
#define SERVER_SESSION_TURNS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The turn of one request. All zeros before the request arrives. */
struct turn {
    struct turn *next;             /* the next turn in the queue of the session */
    _Atomic(struct turn *) before; /* the previous turn; NULL for the first, whose stage no other thread reads any
                                      more */
    struct turn *last;             /* of the first turn of a queue: the last turn */
    struct turn *beside;           /* of the first turn of a queue: the next queue of the bucket */
    struct turn *then;             /* the next turn to let go */
    enum {
        TURN_NONE,
        TURN_ARRIVED, /* in a queue, and not decoded yet */
        TURN_WAITS,   /* waits for its turn */
        TURN_HELD,
    } stage;
    uint64_t session; /* the hash of the session's id; sessions with the same hash share a queue */
    int64_t deadline_ns;
    void (*go)(struct turn *turn); /* the turn that waited may go now */
};

enum { TURNS_SHARDS = 64, TURNS_BUCKETS = 64 };

/* The queues of the sessions whose hash selects this shard. */
struct turns_shard {
    _Alignas(64) pthread_mutex_t lock; /* guards the fields below and the turns; no other lock is taken while it is
                                          held */
    struct turn *lines[TURNS_BUCKETS]; /* the first turns of the queues */
    atomic_size_t waiting;             /* the number of turns at TURN_WAITS */
};

struct turns {
    struct turns_shard shards[TURNS_SHARDS];
    uint64_t seed;
};

/* The number of requests that wait for their turn. */
size_t turns_waiting(const struct turns *turns);

void turns_init(struct turns *turns);
void turns_close(struct turns *turns);

/* A request arrives; its raw bytes show this session. The caller has set go and deadline_ns. */
void turns_arrive(struct turns *turns, struct turn *turn, const char *id);

/* A decoded request takes its turn. If it has not arrived yet, or if it is in the queue of another session, it arrives
   now. Returns true if it has its turn. Otherwise go will be called, perhaps already. */
bool turns_take(struct turns *turns, struct turn *turn, const char *id);

/* Give up the turn, or the wish for one. May be called more than once. */
void turns_leave(struct turns *turns, struct turn *turn);

/* Call go for requests that wait past their deadline (or for all), although they have no turn. They find out themselves
   that they are too late. */
void turns_expire(struct turns *turns, int64_t now_ns, bool all);

#endif
