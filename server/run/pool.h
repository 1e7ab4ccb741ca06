/* A pool of workers, each with bounded queues of tasks; independent of HTTP. A worker with room takes tasks that wait
   for another worker. Workers without a task help workers with a large one. Long tasks run in slices and have separate
   queues, so that no other task waits for them. */
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

/* The queues of a worker. A worker without a task takes one from the first queue that has one. A worker that runs tasks
   says from which queues it takes more. */
enum pool_line { POOL_QUEUE, POOL_SLICED, POOL_LINES };

struct task_line {
    struct task *first, **last;
    /* written under the lock of the worker */
    atomic_size_t n;
    atomic_int_fast64_t since_ns; /* the time when the first task was added */
};

/* One compute thread, its work space, and the tasks that wait for it. The thread itself touches its work space first.
   Fields that different threads write are in different cache lines. */
struct worker {
    /* fields of the thread */
    _Alignas(64) struct arena arena;
    struct pool *pool;
    size_t index;
    pthread_t thread;
    size_t victim; /* the worker whose queues it looks at next, to take tasks */
    bool looks;    /* it is counted in pool->looking */
    bool started, ready;
    void *kept; /* data that the runner of tasks keeps for the next ones; close_kept frees it */
    void (*close_kept)(void *kept);
    /* only the thread writes it, others read it */
    _Alignas(64) atomic_size_t held; /* the number of tasks that it has taken */
    /* all threads write these */
    _Alignas(64) pthread_mutex_t lock; /* guards the queues; no other lock is taken while it is held */
    struct task_line lines[POOL_LINES];
    _Alignas(64) sem_t wake; /* the thread that removes the worker from pool->idle posts it once */
};

/* A task, embedded in the struct of the work. It has one owner at a time: the thread that adds it, then a queue, then a
   worker. */
struct task {
    struct task *next;
    /* Run this task, and others that are taken meanwhile. Calls pool_done for each of them. */
    void (*run)(struct task *task, struct worker *worker);
    void (*expire)(struct task *task); /* the deadline passed while it waited */
    int64_t deadline_ns;
    int64_t since_ns; /* set by the pool: the time when it was added */
    int64_t
        idle_until_ns; /* until this time, only a worker without other tasks takes it, because it takes long to begin;
                          0: no such limit */
};

enum { POOL_MOST_WORKERS = 1024, POOL_WORD = 64 };

struct pool {
    /* constant while there are tasks */
    struct worker *workers; /* at least one worker, which may have no thread */
    size_t n_workers;       /* threads */
    size_t max_queued;      /* the bound of POOL_QUEUE; POOL_SLICED has no bound here */
    size_t scratch_bytes;   /* the size of each worker's arena */
    struct team_host host;  /* the host of these workers' teams; host.recall is the number of waiting tasks of all
                               queues */
    sem_t ready;            /* each worker posts it when it has its memory, or could not get it */
    atomic_bool closing;    /* no more tasks are accepted, except tasks that are added again */
    atomic_bool over;       /* workers end when they find no task */
    /* written with every task */
    _Alignas(64) atomic_size_t queued;  /* the number of tasks in all POOL_QUEUEs, including tasks that are about to be
                                           added */
    _Alignas(64) atomic_size_t looking; /* the number of workers that have just answered and will look for tasks */
    atomic_size_t looker;               /* one of these workers */
    _Alignas(64) atomic_uint_fast64_t idle[POOL_MOST_WORKERS / POOL_WORD]; /* the sleeping workers, as bits */
    /* invitations of teams */
    _Alignas(64) _Atomic(struct team *) invitation; /* a team with seats for idle workers; changed under the lock */
    atomic_int_fast64_t invited_ns;                 /* the time when a run last wanted helpers */
    atomic_int_fast64_t alone_until_ns; /* no team invites helpers before this time, because another process occupied a
                                           core */
    atomic_int_fast64_t alone_ns;       /* the length of this pause; it is four times as long the next time */
    atomic_size_t spinning;             /* the number of workers that have just helped, and watch `news` without
                                           sleeping */
    pthread_mutex_t team_lock;          /* a worker enters a team under this lock; no other lock is taken while it is
                                           held */
    _Alignas(64) atomic_size_t news;    /* counts events, other than tasks, for the workers that watch */
};

/* Start the workers, each with an arena of scratch_bytes. Returns false if there are not enough threads or memory. */
bool pool_start(struct pool *pool, size_t workers, bool pin, size_t max_queued, size_t scratch_bytes);

/* Queue a task; never blocks. Returns false if max_queued tasks wait already. */
bool pool_try_add(struct pool *pool, struct task *task);

/* Queue a task again that was taken before. There is always room for it. */
void pool_add_again(struct pool *pool, struct task *task, enum pool_line line);

/* For a worker that runs tasks: take more tasks that wait at now_ns. Returns them linked; from each queue at most
   `most`, and at most this worker's share of all waiting tasks. waiting becomes its share of the remaining ones. */
struct task *pool_take(struct worker *worker, const size_t most[POOL_LINES], size_t waiting[POOL_LINES],
                       int64_t now_ns);

/* Call before a worker hands back its last answer and then looks for tasks. A single task that is added meanwhile is
   left to this worker. Handing back wakes the I/O thread, often on the same CPU, so the next request may be queued
   before the worker looks. Another worker would run it with cold caches, and compete with the I/O thread and the client
   for a CPU. */
void pool_will_look(struct worker *worker);

/* For a worker with room for tasks of every queue: wait until a task waits, or until this time. */
void pool_wait(struct worker *worker, int64_t until_ns);

/* A task of this worker has finished, or is set aside. */
void pool_done(struct worker *worker);

/* Take tasks past their deadline (or all of them) out of the queues and call their expire. */
void pool_expire(struct pool *pool, int64_t now_ns, bool all);

/* The number of tasks that wait in the POOL_QUEUEs and, unless running is NULL, of tasks that run. */
void pool_load(const struct pool *pool, size_t *queued, size_t *running);

/* Run all queued tasks, then end and join the workers. From then on tasks are refused. */
void pool_end(struct pool *pool);

/* Call when no thread adds tasks any more. The pool may be all zeros. */
void pool_close(struct pool *pool);

/* pool_end, then pool_close. */
void pool_stop(struct pool *pool);

#endif
