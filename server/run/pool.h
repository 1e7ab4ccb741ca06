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

/* One compute thread and the memory it works in, which the thread itself touches first. */
struct worker {
    _Alignas(64) struct arena arena;
    struct pool *pool;
    size_t index;
    pthread_t thread;
    pthread_cond_t wake;
    struct worker *below; /* under the pool's lock: in the stack of sleepers */
    bool asleep;          /* likewise: it is in the stack */
    bool ends;            /* what it finishes now is the last that it has */
    bool looks;           /* it counts in pool->looking */
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
    struct task_line lines[POOL_LINES];
    size_t max_queued; /* POOL_SLICED is not bounded here */
    bool closing;
    struct worker *sleepers; /* a stack: the one that fell asleep last is woken first, its caches are warm */
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
    atomic_size_t looking;              /* workers that have just answered and look for tasks in a moment */
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
struct task *pool_take(struct worker *worker, const size_t most[POOL_LINES], size_t waiting[POOL_LINES],
                       int64_t now_ns);

/* A worker is about to hand the last answer back that it has, and looks for tasks right after: a single task that comes
   meanwhile is left to it. Handing back wakes the I/O thread, often on the same CPU, so that the next request may be there
   before the worker looks; another worker would take it with cold caches, and compete with the I/O thread and the client
   for a CPU. */
void pool_will_look(struct worker *worker);

/* For a worker that has room for tasks of every line: wait until a task waits, or until then. */
void pool_wait(struct worker *worker, int64_t until_ns);

/* A task that was taken is through, or put aside. */
void pool_done(struct pool *pool);

/* Take tasks past their deadline (or all of them) out of the queue and call their expire. */
void pool_expire(struct pool *pool, int64_t now_ns, bool all);

/* Tasks that wait in the queue, and that run. */
void pool_load(const struct pool *pool, size_t *queued, size_t *running);

/* Run what is queued, then end and join the workers. */
void pool_stop(struct pool *pool);

#endif
