/* A bounded queue of tasks and the workers that run them; knows nothing of HTTP. Workers without a task help those that
   have a large one. Long tasks run in slices and have a line of their own, so that no other task waits for them. */
#ifndef SERVER_RUN_POOL_H
#define SERVER_RUN_POOL_H

#include "core/arena.h"
#include "core/team.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One compute thread and the memory it works in. */
struct worker {
    struct arena arena;
    struct pool *pool;
    size_t index;
    pthread_t thread;
};

/* Embedded in what is to be run. One owner at a time: who adds it, then the queue, then a worker. */
struct task {
    struct task *next;
    /* Run it, and others taken meanwhile; the pool is told of each with pool_done. */
    void (*run)(struct task *task, struct worker *worker);
    void (*expire)(struct task *task); /* the deadline passed while it waited */
    int64_t deadline_ns;
    int64_t
        idle_until_ns; /* it takes long to begin: until then it is left to a worker that has no others; 0: it is not */
};

/* Idle workers take from the first line that has a task; those that run tasks say from which they take more. */
enum pool_line { POOL_QUEUE, POOL_SLICED, POOL_LINES };

struct task_line {
    struct task *first, **last;
    atomic_size_t n; /* written under the lock */
};

struct pool {
    pthread_mutex_t
        lock; /* guards what has no atomic type below; no other lock is taken under it, and nothing is waited for */
    pthread_cond_t waiting;
    struct task_line lines[POOL_LINES];
    size_t max_queued; /* POOL_SLICED is not bounded here */
    bool closing;
    size_t sleeping;
    struct worker *workers;
    size_t n_workers;
    struct team_host host; /* for teams of these workers */
    /* what is read at every request without the lock */
    _Alignas(64) atomic_size_t waits;   /* tasks of all lines */
    _Alignas(64) atomic_size_t running; /* tasks that were taken */
    _Atomic(struct team *) invitation;  /* a team that has seats for idle workers */
    atomic_int_fast64_t invited_ns;     /* when somebody last wanted help */
    atomic_int_fast64_t alone_until_ns; /* helpers were slowed down by a neighbour: nobody is invited before */
    atomic_int_fast64_t alone_ns;       /* how long that was set to last; four times as long the next time */
    atomic_size_t spinning;             /* workers that have just helped and watch news for more, without sleeping */
    _Alignas(64) atomic_size_t news;    /* counts what idle workers should look at */
};

/* Start the workers, each with an arena of scratch_bytes. False when threads or memory cannot be had. */
bool pool_start(struct pool *pool, size_t workers, bool pin, size_t max_queued, size_t scratch_bytes);

/* Queue a task; never blocks. False when the queue is full. */
bool pool_try_add(struct pool *pool, struct task *task);

/* Put a task that was taken before into a line again: there is always room for it. */
void pool_add_again(struct pool *pool, struct task *task, enum pool_line line);

/* For a worker that runs tasks: more of those that wait at now_ns, linked; of each line at most `most` and this worker's
   share. waiting: its share of what waits still. */
struct task *pool_take(struct pool *pool, const size_t most[POOL_LINES], size_t waiting[POOL_LINES], int64_t now_ns);

/* For a worker that has room for tasks of every line: wait until a task waits, or until then. */
void pool_wait(struct pool *pool, int64_t until_ns);

/* A task that was taken is through, or put aside. */
void pool_done(struct pool *pool);

/* Take tasks past their deadline (or all of them) out of the queue and call their expire. */
void pool_expire(struct pool *pool, int64_t now_ns, bool all);

/* Tasks that wait in the queue, and that run. */
void pool_load(const struct pool *pool, size_t *queued, size_t *running);

/* Run what is queued, then end and join the workers. */
void pool_stop(struct pool *pool);

#endif
