/* Bounded queues of tasks, one for each worker that runs them; knows nothing of HTTP. A worker that has room takes tasks
   that wait for another worker. Workers without a task help those that have a large one. Long tasks run in slices and have
   a line of their own, so that no other task waits for them. */
#ifndef SERVER_RUN_POOL_H
#define SERVER_RUN_POOL_H

#include "core/arena.h"
#include "core/team.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Workers without a task take from the first line that has one; those that run tasks say from which they take more. */
enum pool_line { POOL_QUEUE, POOL_SLICED, POOL_LINES };

struct task_line {
    struct task *first, **last;
    /* written under the lock of its worker */
    atomic_size_t n;
    atomic_int_fast64_t since_ns; /* when the first was added */
};

/* One compute thread, the memory it works in, which the thread itself touches first, and the tasks that wait for it. What
   different threads write lies on different lines of cache. */
struct worker {
    /* the thread's own */
    _Alignas(64) struct arena arena;
    struct pool *pool;
    size_t index;
    pthread_t thread;
    size_t victim; /* whose tasks it looks at next, to take some */
    bool ends;     /* what it finishes now is the last that it has */
    bool looks;    /* it counts in pool->looking */
    bool started, ready;
    void *kept; /* by whoever runs tasks, for the next of them; freed by close_kept */
    void (*close_kept)(void *kept);
    /* written by the thread alone, read by others */
    _Alignas(64) atomic_size_t held; /* tasks that it has taken */
    /* written by all */
    _Alignas(64) pthread_mutex_t lock; /* guards the lines; no other lock is taken under it */
    struct task_line lines[POOL_LINES];
    _Alignas(64) sem_t wake; /* posted once by whoever takes the worker out of pool->idle */
};

/* A task, embedded in the struct of the work. It has one owner at a time: the thread that adds it, then a queue, then a
   worker. */
struct task {
    struct task *next;
    /* Run it, and others taken meanwhile; the pool is told of each with pool_done. */
    void (*run)(struct task *task, struct worker *worker);
    void (*expire)(struct task *task); /* the deadline passed while it waited */
    int64_t deadline_ns;
    int64_t since_ns; /* the pool's: when it was added */
    int64_t
        idle_until_ns; /* it takes long to begin: until then it is left to a worker that has no others; 0: it is not */
};

enum { POOL_MOST_WORKERS = 1024, POOL_WORD = 64 };

struct pool {
    /* constant while there are tasks */
    struct worker *workers; /* one at least, which may have no thread */
    size_t n_workers;       /* threads */
    size_t max_queued;      /* POOL_SLICED is not bounded here */
    size_t scratch_bytes;   /* of each worker's arena */
    struct team_host host;  /* for teams of these workers; host.recall: tasks of all lines that wait */
    sem_t ready;            /* posted by each worker that has its memory, or none */
    atomic_bool closing;    /* no task may come any more, but those that are added again */
    atomic_bool over;       /* workers that find no task end */
    /* written with every task */
    _Alignas(64) atomic_size_t queued;  /* tasks of all POOL_QUEUEs, and those that are about to come */
    _Alignas(64) atomic_size_t looking; /* workers that have just answered and look for tasks in a moment */
    atomic_size_t looker;               /* one of them */
    _Alignas(64) atomic_uint_fast64_t idle[POOL_MOST_WORKERS / POOL_WORD]; /* workers that sleep, as bits */
    /* invitations of teams */
    _Alignas(64) _Atomic(struct team *) invitation; /* a team that has seats for idle workers; changed under the lock */
    atomic_int_fast64_t invited_ns;                 /* when somebody last wanted help */
    atomic_int_fast64_t alone_until_ns; /* helpers were slowed down by a neighbour: nobody is invited before */
    atomic_int_fast64_t alone_ns;       /* how long that was set to last; four times as long the next time */
    atomic_size_t spinning;             /* workers that have just helped and watch news for more, without sleeping */
    pthread_mutex_t team_lock;          /* whoever enters a team does so under it; no other lock is taken under it */
    _Alignas(64) atomic_size_t news;    /* counts what workers that watch should look at, beside tasks */
};

/* Start the workers, each with an arena of scratch_bytes. False when threads or memory cannot be had. */
bool pool_start(struct pool *pool, size_t workers, bool pin, size_t max_queued, size_t scratch_bytes);

/* Queue a task; never blocks. False when max_queued tasks wait already. */
bool pool_try_add(struct pool *pool, struct task *task);

/* Put a task that was taken before into a line again: there is always room for it. */
void pool_add_again(struct pool *pool, struct task *task, enum pool_line line);

/* For a worker that runs tasks: more of those that wait at now_ns, linked; of each line at most `most` and this worker's
   share of all that wait. waiting: its share of what waits still. */
struct task *pool_take(struct worker *worker, const size_t most[POOL_LINES], size_t waiting[POOL_LINES],
                       int64_t now_ns);

/* A worker is about to hand the last answer back that it has, and looks for tasks right after: a single task that comes
   meanwhile is left to it. Handing back wakes the I/O thread, often on the same CPU, so that the next request may be there
   before the worker looks; another worker would take it with cold caches, and compete with the I/O thread and the client
   for a CPU. */
void pool_will_look(struct worker *worker);

/* For a worker that has room for tasks of every line: wait until a task waits, or until then. */
void pool_wait(struct worker *worker, int64_t until_ns);

/* A task that this worker has taken is through, or put aside. */
void pool_done(struct worker *worker);

/* Take tasks past their deadline (or all of them) out of the queues and call their expire. */
void pool_expire(struct pool *pool, int64_t now_ns, bool all);

/* Tasks that wait in the POOL_QUEUEs; and, where running is not NULL, that run. */
void pool_load(const struct pool *pool, size_t *queued, size_t *running);

/* Run all queued tasks, then end and join the workers. From then on tasks are refused. */
void pool_end(struct pool *pool);

/* Once nobody adds tasks any more; fine for a pool of zeros. */
void pool_close(struct pool *pool);

/* Both. */
void pool_stop(struct pool *pool);

#endif
