/* Requests of one session are applied one at a time, in the order in which they arrived; those of others do not wait for
   them. A request whose session shows in its bytes arrives when it is whole, any other when it has been decoded. */
#ifndef SERVER_SESSION_TURNS_H
#define SERVER_SESSION_TURNS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one request. All zeros before it arrives. */
struct turn {
    struct turn *next;             /* in its session's line */
    _Atomic(struct turn *) before; /* likewise; NULL: it is the first, and nobody else looks at its stage any more */
    struct turn *last;             /* of the first of a line: its end */
    struct turn *beside;           /* of the first of a line: the next line of the bucket */
    struct turn *then;             /* while several are let go */
    enum {
        TURN_NONE,
        TURN_ARRIVED, /* in a line, and not decoded yet */
        TURN_WAITS,   /* for its turn */
        TURN_HELD,
    } stage;
    uint64_t session; /* hash of its id; where two agree, their requests wait for each other */
    int64_t deadline_ns;
    void (*go)(struct turn *turn); /* what was told to wait need not any more */
};

enum { TURNS_SHARDS = 64, TURNS_BUCKETS = 64 };

/* The sessions whose hash leads here. */
struct turns_shard {
    _Alignas(64) pthread_mutex_t lock; /* guards all below and the turns; no other lock is taken under it */
    struct turn *lines[TURNS_BUCKETS]; /* their first, whose turn it is */
    atomic_size_t waiting;             /* those at TURN_WAITS */
};

struct turns {
    struct turns_shard shards[TURNS_SHARDS];
    uint64_t seed;
};

/* How many wait for their turn. */
size_t turns_waiting(const struct turns *turns);

void turns_init(struct turns *turns);
void turns_close(struct turns *turns);

/* A request is here, of this session as it seems. go and deadline_ns are set. */
void turns_arrive(struct turns *turns, struct turn *turn, const char *id);

/* It has been decoded and wants its turn; if it has not arrived, or in another session's line, it does so now. True: it has
   its turn; false: go will be called, perhaps already. */
bool turns_take(struct turns *turns, struct turn *turn, const char *id);

/* It has had its turn, or does not want one any more. Once is enough; more do no harm. */
void turns_leave(struct turns *turns, struct turn *turn);

/* Let those that wait past their deadline (or all of them) go without having had their turn: they are to see that they
   are too late. */
void turns_expire(struct turns *turns, int64_t now_ns, bool all);

#endif
