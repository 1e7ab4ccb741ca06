/* The worker pool. A task is put into the line of a worker that sleeps, or else of that one of two workers which has less to
   do. Two counts tell without a lock whether tasks wait: that of each line, and that of all lines (host.recall). A line is
   counted up before all are and down after all are, so where all are not 0, some line is not empty, unless somebody is
   taking its task. */
#include "pool.h"

#include "pool_idle.h"
#include "server/base/clock.h"
#include "server/base/cpus.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

/* A worker prefers its own tasks, unless another's wait for so much longer; most chunks take 2 ms. At each look it compares
   its line with those of so many others, one after the other in turn, so that no task waits for as long as its worker is
   away and all others have tasks of their own. A worker with tasks whose line is empty looks at so many others. */
enum { LATE_NS = 1000000, COMPARES = 2, VISITS = 4 };

/* Fields that all threads write are in separate cache lines. */
#define APART(type, a, b) _Static_assert(offsetof(type, b) / 64 > offsetof(type, a) / 64, #a " and " #b " share a line")
APART(struct worker, kept, held);
APART(struct worker, held, lock);
APART(struct worker, lines, wake);
APART(struct pool, max_queued, host.recall);
APART(struct pool, host.recall, ready);
APART(struct pool, over, queued);
APART(struct pool, queued, looking);
APART(struct pool, looker, idle);
APART(struct pool, idle, invitation);
APART(struct pool, team_lock, news);

static size_t lines_of(const struct pool *pool)
{
    return pool->n_workers ? pool->n_workers : 1;
}

/* ---- taking tasks ---- */

/* Only the worker itself writes `held`. A thread that reads 0 sees the results of its tasks. */
static void hold_more(struct worker *worker, size_t n)
{
    atomic_store_explicit(&worker->held, atomic_load_explicit(&worker->held, memory_order_relaxed) + n,
                          memory_order_release);
}

/* Under the lock. */
static void note_first(struct task_line *line)
{
    if (line->first)
        atomic_store_explicit(&line->since_ns, line->first->since_ns, memory_order_relaxed);
}

/* Under the lock: the first task that a worker with other tasks may take now, or NULL. */
static struct task *first_task(struct worker *taker, struct worker *from, enum pool_line which, int64_t now_ns)
{
    struct pool *pool = from->pool;
    struct task_line *line = &from->lines[which];
    struct task **at = &line->first, *task;
    while ((task = *at) && task->idle_until_ns > now_ns)
        at = &task->next;
    if (!task)
        return NULL;
    *at = task->next;
    note_first(line);
    task->next = NULL;
    task->idle_until_ns = 0; /* its beginning is delayed only once */
    if (!*at)
        line->last = at;
    hold_more(taker, 1); /* before the task is no longer counted as waiting */
    pool->host.recall--;
    line->n--;
    if (which == POOL_QUEUE)
        pool->queued--;
    return task;
}

/* The taker appends up to `most` tasks to its list, which ends at *last; returns how many. */
static size_t take_from(struct worker *taker, struct worker *from, enum pool_line which, size_t most, int64_t now_ns,
                        struct task ***last)
{
    size_t n = 0;
    if (!most || !atomic_load(&from->lines[which].n))
        return 0;
    pthread_mutex_lock(&from->lock);
    for (; n < most && (**last = first_task(taker, from, which, now_ns)); n++)
        *last = &(**last)->next;
    pthread_mutex_unlock(&from->lock);
    return n;
}

static struct worker *next_victim(struct worker *worker)
{
    return &worker->pool->workers[worker->victim++ % lines_of(worker->pool)];
}

static int64_t since_of(const struct worker *worker, enum pool_line which)
{
    const struct task_line *line = &worker->lines[which];
    return atomic_load(&line->n) ? atomic_load_explicit(&line->since_ns, memory_order_relaxed) : INT64_MAX;
}

/* Take tasks of other workers that have waited longer than the worker's own. */
static size_t take_late(struct worker *worker, enum pool_line which, size_t most, int64_t now_ns, struct task ***last)
{
    size_t n = 0;
    for (size_t i = 0; n < most && i < COMPARES; i++) {
        struct worker *other = next_victim(worker);
        int64_t since = since_of(other, which);
        if (since < INT64_MAX - LATE_NS && since + LATE_NS < since_of(worker, which))
            n += take_from(worker, other, which, most - n, now_ns, last);
    }
    return n;
}

/* For a worker without tasks: take one from its own queue, or from any other. */
static struct task *take_one(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct task *task = NULL, **last = &task;
    for (enum pool_line which = pool->queued ? POOL_QUEUE : POOL_SLICED; !task && which < POOL_LINES; which++) {
        if (!take_late(worker, which, 1, INT64_MAX, &last))
            take_from(worker, worker, which, 1, INT64_MAX, &last);
        for (size_t i = 0; !task && i < lines_of(pool) && pool_any_waits(pool); i++)
            take_from(worker, next_victim(worker), which, 1, INT64_MAX, &last);
    }
    return task;
}

void pool_will_look(struct worker *worker)
{
    struct pool *pool = worker->pool;
    if (!worker->looks) { /* a worker may end several requests before it looks, but it is counted once */
        atomic_store_explicit(&pool->looker, worker->index, memory_order_relaxed);
        pool->looking++;
    }
    worker->looks = true;
}

/* Call before looking at the queues: a thread that adds a task from now on wakes a sleeping worker. */
static void looks_now(struct worker *worker)
{
    if (worker->looks)
        worker->pool->looking--;
    worker->looks = false;
}

static struct task *wait_for_task(struct worker *worker)
{
    struct pool *pool = worker->pool;
    struct task *task = NULL;
    bool watched = true;
    looks_now(worker);
    while (!task) {
        bool waits = pool_any_waits(pool);
        if (waits) {
            task = take_one(worker);
        } else if (pool->over) {
            return NULL;
        } else if (pool->invitation) {
            watched = !pool_help(pool);
        } else if (!watched) {
            pool_watch(pool);
            watched = true;
        } else {
            pool_sleep(worker, INT64_MAX);
        }
    }
    return task;
}

/* A worker's share of all tasks that wait in queues of a kind. A task that is being added or taken may not be
   counted. */
static size_t share_of(const struct pool *pool, enum pool_line which)
{
    size_t all = atomic_load(&pool->host.recall), queued = atomic_load(&pool->queued), n = queued;
    if (which == POOL_SLICED)
        n = all > queued ? all - queued : 0;
    return (n + lines_of(pool) - 1) / lines_of(pool);
}

/* The number of tasks in all queues of a kind. */
static void take_share(struct worker *worker, enum pool_line which, size_t most, int64_t now_ns, struct task ***last)
{
    struct pool *pool = worker->pool;
    size_t n = 0;
    if (atomic_load(&pool->host.recall) > atomic_load(&worker->lines[which].n))
        n = take_late(worker, which, most, now_ns, last);
    n += take_from(worker, worker, which, most - n, now_ns, last);
    for (size_t i = 0; n < most && i < VISITS && i < lines_of(pool) && pool_any_waits(pool); i++)
        n += take_from(worker, next_victim(worker), which, most - n, now_ns, last);
}

struct task *pool_take(struct worker *worker, const size_t most[POOL_LINES], size_t waiting[POOL_LINES], int64_t now_ns)
{
    struct pool *pool = worker->pool;
    struct task *taken = NULL, **last = &taken;
    looks_now(worker);
    waiting[POOL_QUEUE] = waiting[POOL_SLICED] = 0;
    if (!pool_any_waits(pool))
        return NULL;
    for (enum pool_line which = POOL_QUEUE; which < POOL_LINES; which++) {
        size_t share = share_of(pool, which);
        if (share && most[which])
            take_share(worker, which, share < most[which] ? share : most[which], now_ns, &last);
        waiting[which] = share_of(pool, which);
    }
    return taken;
}

void pool_wait(struct worker *worker, int64_t until_ns)
{
    struct pool *pool = worker->pool;
    while (!pool_any_waits(pool) && !pool->closing && clock_ns() < until_ns)
        pool_sleep(worker, until_ns);
}

void pool_done(struct worker *worker)
{
    hold_more(worker, (size_t)-1);
}

/* ---- adding tasks ---- */

/* Returns false if the pool has closed meanwhile. */
static bool append_task(struct worker *to, struct task *task, enum pool_line which, bool again)
{
    struct pool *pool = to->pool;
    struct task_line *line = &to->lines[which];
    task->next = NULL;
    task->since_ns = clock_ns();
    pthread_mutex_lock(&to->lock);
    bool open = again || !pool->closing;
    if (open) {
        *line->last = task;
        line->last = &task->next;
        note_first(line);
        line->n++;
        pool->host.recall++;
    }
    pthread_mutex_unlock(&to->lock);
    return open;
}

static size_t load_of(const struct worker *worker)
{
    size_t n = atomic_load_explicit(&worker->held, memory_order_relaxed);
    for (size_t i = 0; i < POOL_LINES; i++)
        n += atomic_load_explicit(&worker->lines[i].n, memory_order_relaxed);
    return n;
}

/* Choose two workers, different ones each time, and return the one with less to do. */
static struct worker *less_busy(struct pool *pool)
{
    static _Thread_local uint32_t times;
    size_t n = lines_of(pool), a = ++times % n, b = (a + 1 + (times * UINT32_C(2654435761) >> 8) % n) % n;
    struct worker *first = &pool->workers[a], *second = &pool->workers[b == a ? (a + 1) % n : b];
    return load_of(second) < load_of(first) ? second : first;
}

/* Put a task into a queue. Wakes a sleeping worker, unless the only waiting task is left to a worker that looks
   soon. */
static bool add_task(struct pool *pool, struct task *task, enum pool_line which, bool again)
{
    bool left = pool->looking && !pool_any_waits(pool);
    struct worker *idle = left ? NULL : pool_claim_idle(pool), *to = idle;
    if (left)
        to = &pool->workers[atomic_load_explicit(&pool->looker, memory_order_relaxed)];
    else if (!idle)
        to = less_busy(pool);
    bool added = append_task(to, task, which, again);
    /* a worker that looked before the task was added may be asleep now */
    if (added && !idle && (atomic_load(&pool->host.recall) > 1 || !pool->looking))
        idle = pool_claim_idle(pool);
    if (idle)
        pool_wake(idle);
    return added;
}

bool pool_try_add(struct pool *pool, struct task *task)
{
    if (pool->closing)
        return false;
    if (atomic_fetch_add(&pool->queued, 1) < pool->max_queued && add_task(pool, task, POOL_QUEUE, false))
        return true;
    pool->queued--;
    return false;
}

void pool_add_again(struct pool *pool, struct task *task, enum pool_line which)
{
    if (which == POOL_QUEUE)
        pool->queued++;
    add_task(pool, task, which, true);
}

/* ---- deadlines ---- */

/* Take tasks past their deadline out of a queue. */
static void expire_line(struct worker *worker, enum pool_line which, int64_t now_ns, bool all, struct task **expired)
{
    struct pool *pool = worker->pool;
    struct task_line *line = &worker->lines[which];
    struct task **at = &line->first, *task;
    pthread_mutex_lock(&worker->lock);
    while ((task = *at)) {
        if (!all && task->deadline_ns > now_ns) {
            at = &task->next;
            continue;
        }
        *at = task->next;
        task->next = *expired;
        *expired = task;
        pool->host.recall--;
        line->n--;
        if (which == POOL_QUEUE)
            pool->queued--;
    }
    line->last = at;
    note_first(line);
    pthread_mutex_unlock(&worker->lock);
}

void pool_expire(struct pool *pool, int64_t now_ns, bool all)
{
    struct task *expired = NULL, *task;
    for (size_t i = 0; i < lines_of(pool) && pool_any_waits(pool); i++)
        for (enum pool_line which = POOL_QUEUE; which < POOL_LINES; which++)
            if (atomic_load(&pool->workers[i].lines[which].n))
                expire_line(&pool->workers[i], which, now_ns, all, &expired);
    while ((task = expired)) {
        expired = task->next;
        task->expire(task);
    }
}

void pool_load(const struct pool *pool, size_t *queued, size_t *running)
{
    *queued = atomic_load(&pool->queued);
    if (!running)
        return;
    *running = 0;
    for (size_t i = 0; pool->workers && i < lines_of(pool); i++)
        *running += atomic_load_explicit(&pool->workers[i].held, memory_order_acquire);
}

/* ---- the threads ---- */

/* The thread touches its memory first, so the memory is near its CPU if the thread is bound to one. */
static void *work_on_tasks(void *argument)
{
    struct worker *worker = argument;
    struct task *task;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", (unsigned)worker->index);
    pthread_setname_np(pthread_self(), name);
    cpus_compute();
    worker->ready = arena_reserve(&worker->arena, worker->pool->scratch_bytes);
    sem_post(&worker->pool->ready);
    while ((task = wait_for_task(worker)))
        task->run(task, worker);
    return NULL;
}

static void *work_on_tasks_pinned(void *argument)
{
    struct worker *worker = argument;
    cpus_bind(worker->index);
    return work_on_tasks(worker);
}

static bool start_threads(struct pool *pool, bool pin)
{
    bool good = true;
    for (size_t i = 0; good && i < pool->n_workers; i++) {
        struct worker *worker = &pool->workers[i];
        good = worker->started =
            !pthread_create(&worker->thread, NULL, pin ? work_on_tasks_pinned : work_on_tasks, worker);
    }
    for (size_t i = 0; i < pool->n_workers && pool->workers[i].started; i++)
        while (sem_wait(&pool->ready))
            ;
    for (size_t i = 0; i < pool->n_workers; i++)
        good = good && pool->workers[i].ready;
    return good;
}

bool pool_start(struct pool *pool, size_t workers, bool pin, size_t max_queued, size_t scratch_bytes)
{
    *pool = (struct pool){.max_queued = max_queued,
                          .n_workers = workers < POOL_MOST_WORKERS ? workers : POOL_MOST_WORKERS,
                          .scratch_bytes = scratch_bytes,
                          .host = {.invite = pool_invite, .withdraw = pool_withdraw, .relax = pool_relax}};
    pool->workers = aligned_alloc(_Alignof(struct worker), lines_of(pool) * sizeof *pool->workers);
    if (!pool->workers)
        return false;
    pthread_mutex_init(&pool->team_lock, NULL);
    sem_init(&pool->ready, 0, 0);
    for (size_t i = 0; i < lines_of(pool); i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .index = i, .victim = i + 1};
        pthread_mutex_init(&worker->lock, NULL);
        sem_init(&worker->wake, 0, 0);
        for (size_t k = 0; k < POOL_LINES; k++)
            worker->lines[k].last = &worker->lines[k].first;
    }
    if (start_threads(pool, pin))
        return true;
    pool_stop(pool);
    return false;
}

/* When it returns, every thread that adds a task sees that the pool closes. */
static void close_lines(struct pool *pool)
{
    pool->closing = true;
    for (size_t i = 0; i < lines_of(pool); i++) {
        pthread_mutex_lock(&pool->workers[i].lock);
        pthread_mutex_unlock(&pool->workers[i].lock);
    }
}

void pool_end(struct pool *pool)
{
    close_lines(pool);
    pool->over = true;
    atomic_fetch_add_explicit(&pool->news, 1, memory_order_release);
    for (struct worker *worker; (worker = pool_claim_idle(pool));)
        pool_wake(worker);
    for (size_t i = 0; i < pool->n_workers; i++) {
        if (pool->workers[i].started)
            pthread_join(pool->workers[i].thread, NULL);
        arena_close(&pool->workers[i].arena);
        if (pool->workers[i].kept)
            pool->workers[i].close_kept(pool->workers[i].kept);
        pool->workers[i].kept = NULL;
    }
}

void pool_close(struct pool *pool)
{
    if (!pool->workers)
        return;
    for (size_t i = 0; i < lines_of(pool); i++) {
        pthread_mutex_destroy(&pool->workers[i].lock);
        sem_destroy(&pool->workers[i].wake);
    }
    free(pool->workers);
    pthread_mutex_destroy(&pool->team_lock);
    sem_destroy(&pool->ready);
    *pool = (struct pool){0};
}

void pool_stop(struct pool *pool)
{
    pool_end(pool);
    pool_close(pool);
}
