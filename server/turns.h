/* Requests of one session are applied one at a time, in the order in which they arrived; those of others do not wait for
   them. */
#ifndef SERVER_TURNS_H
#define SERVER_TURNS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Of one request. All zeros before it arrives. */
struct turn {
    struct turn *next, *before; /* in the order of arrival; next also in its session's line */
    struct turn *last;          /* of the first of a line: its end */
    struct turn *beside;        /* of the first of a line: the next line of the bucket */
    struct turn *then;          /* while several are let go */
    enum {
        TURN_NONE,
        TURN_ARRIVED, /* it is not known yet of which session */
        TURN_KNOWN,   /* so it is of some that arrived before */
        TURN_WAITS,   /* in its session's line */
        TURN_HELD,
    } stage;
    const char *id; /* of its session, once it is known */
    int64_t deadline_ns;
    void (*go)(struct turn *turn); /* what was told to wait need not any more */
};

enum { TURNS_BUCKETS = 4096 };

struct turns {
    pthread_mutex_t lock;              /* guards all below and the turns; no other lock is taken under it */
    struct turn *first, *last;         /* arrived, and not in a line yet */
    struct turn *lines[TURNS_BUCKETS]; /* their first, who has its turn */
    size_t waiting;                    /* not let go yet, though their session is known */
    uint64_t seed;
};

void turns_init(struct turns *turns);
void turns_close(struct turns *turns);

/* A request is here that may be of a session. go and deadline_ns are set. */
void turns_arrive(struct turns *turns, struct turn *turn);

/* Now it is known of which, which arrives now if it has not. True: it has its turn; false: go will be called, perhaps
   already. */
bool turns_take(struct turns *turns, struct turn *turn, const char *id);

/* It has had its turn, or does not want one any more. Once is enough; more do no harm. */
void turns_leave(struct turns *turns, struct turn *turn);

/* Let those that wait past their deadline (or all of them) go without having had their turn: they are to see that they
   are too late. */
void turns_expire(struct turns *turns, int64_t now_ns, bool all);

#endif
