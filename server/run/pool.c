/* The worker pool. */
#include "pool.h"

#include "server/base/clock.h"
#include "server/base/cpus.h"

#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <time.h>

/* Waking a sleeping worker takes some ten microseconds, so a smaller run is not worth it, unless others came shortly
   before: then the woken worker goes on watching and is there at once for those that follow. */
enum { WORTH_WAKING_NS = 200000, SHORTLY_NS = 30000, WATCH_NS = 100000, RELAX_NS = 50000, MOST_RELAX_NS = 1000000 };

/* How long a run that had to wait for helpers without a processor keeps others from inviting any; and, at least, how long
   it is till the next look at a system whose processors were all wanted then. */
enum { LEAST_ALONE_NS = 25000000 };
static const int64_t most_alone_ns = 30000000000;

/* Under the lock. */
static bool any_waits(const struct pool *pool)
{
    return pool->lines[POOL_QUEUE].n || pool->lines[POOL_SLICED].n;
}

/* ---- sleep, under the lock ---- */

/* Until it is woken or the time is over (INT64_MAX: never). Whoever wakes it has taken it out of the stack. */
static void sleep_until(struct worker *worker, int64_t until_ns)
{
    struct pool *pool = worker->pool;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    bool over = false;
    worker->below = pool->sleepers;
    worker->asleep = true;
    pool->sleepers = worker;
    pool->sleeping++;
    while (worker->asleep && !over)
        over = until_ns == INT64_MAX ? pthread_cond_wait(&worker->wake, &pool->lock)
                                     : pthread_cond_timedwait(&worker->wake, &pool->lock, &until);
    if (!worker->asleep)
        return;
    struct worker **at = &pool->sleepers;
    while (*at != worker)
        at = &(*at)->below;
    *at = worker->below;
    worker->asleep = false;
    pool->sleeping--;
}

/* Workers that are to be woken when the lock is given back: a wake-up is a system call. */
struct woken {
    struct worker *workers[TEAM_MAX_SEATS];
    size_t n;
};

/* Take up to n sleepers out of the stack. */
static void take_sleepers(struct pool *pool, size_t n, struct woken *woken)
{
    for (struct worker *worker; woken->n < n && woken->n < TEAM_MAX_SEATS && (worker = pool->sleepers);) {
        pool->sleepers = worker->below;
        pool->sleeping--;
        worker->asleep = false;
        woken->workers[woken->n++] = worker;
    }
}

static void wake_all(const struct woken *woken)
{
    for (size_t i = 0; i < woken->n; i++)
        pthread_cond_signal(&woken->workers[i]->wake);
}

/* ---- taking tasks ---- */

/* Under the lock: the first that may be taken now by a worker that has others, or NULL. */
static struct task *first_task(struct pool *pool, enum pool_line which, int64_t now_ns)
{
    struct task_line *line = &pool->lines[which];
    struct task **at = &line->first, *task;
    while ((task = *at) && task->idle_until_ns > now_ns)
        at = &task->next;
    if (!task)
        return NULL;
    *at = task->next;
    task->idle_until_ns = 0; /* it is begun only once */
    if (!*at)
        line->last = at;
    line->n--;
    pool->waits--;
    if (!any_waits(pool))
        atomic_store(&pool->host.recall, false);
    pool->running++;
    return task;
}

/* Under the lock, which is given back meanwhile. */
static void help_team(struct pool *pool)
{
    struct team *team = pool->invitation;
    size_t seat = team_enter(team);
    if (!seat)
        pool->invitation = NULL;
    pthread_mutex_unlock(&pool->lock);
    if (seat)
        team_help(team, seat);
    pthread_mutex_lock(&pool->lock);
}

/* The same, for a while. */
static void watch_news(struct pool *pool)
{
    size_t news = atomic_load(&pool->news);
    int64_t end = clock_ns() + WATCH_NS;
    pthread_mutex_unlock(&pool->lock);
    atomic_fetch_add(&pool->spinning, 1);
    for (size_t i = 1; atomic_load_explicit(&pool->news, memory_order_acquire) == news; i++) {
        if (i % 64 == 0 && clock_ns() > end)
            break;
        team_pause();
    }
    atomic_fetch_sub(&pool->spinning, 1);
    pthread_mutex_lock(&pool->lock);
}

void pool_will_look(struct worker *worker)
{
    if (!worker->looks) /* it may end several requests before it looks, and takes its word back once */
        worker->pool->looking++;
    worker->looks = true;
}

/* Before the tasks are looked at: whoever adds one from now on wakes a sleeper. */
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
    pthread_mutex_lock(&pool->lock);
    while (!any_waits(pool) && !pool->closing) {
        if (pool->invitation) {
            help_team(pool);
            watched = false;
        } else if (!watched) {
            watch_news(pool);
            watched = true;
        } else {
            sleep_until(worker, INT64_MAX);
        }
    }
    if (any_waits(pool))
        task = first_task(pool, pool->lines[POOL_QUEUE].n ? POOL_QUEUE : POOL_SLICED, INT64_MAX);
    pthread_mutex_unlock(&pool->lock);
    return task;
}

static struct pool *pool_of(struct team_host *host)
{
    return (struct pool *)((char *)host - offsetof(struct pool, host));
}

/* Under the lock: publish the team, and wake sleeping workers where that is worth it. */
static size_t publish(struct pool *pool, struct team *team, bool worth, size_t coming, struct woken *woken)
{
    if (pool->invitation)
        return 0;
    pool->invitation = team;
    if (worth) {
        coming += pool->sleeping;
        take_sleepers(pool, team->seats - 1, woken);
    }
    atomic_fetch_add_explicit(&pool->news, 1, memory_order_release);
    return coming;
}

/* Small runs come here for every request: they find out without the lock that nobody is to be invited. */
static size_t invite(struct team_host *host, struct team *team, double nanoseconds)
{
    struct pool *pool = pool_of(host);
    int64_t now = clock_ns(), alone_until = pool->alone_until_ns;
    size_t coming = atomic_load_explicit(&pool->spinning, memory_order_relaxed);
    struct woken woken = {.n = 0};
    if (alone_until && now < alone_until)
        return 0;
    if (alone_until) {
        pool->alone_until_ns = cpus_all_wanted() ? now + LEAST_ALONE_NS : 0;
        if (pool->alone_until_ns)
            return 0;
    }
    bool worth = nanoseconds >= WORTH_WAKING_NS || now - pool->invited_ns < SHORTLY_NS;
    pool->invited_ns = now + (int64_t)nanoseconds;
    if (pool->invitation || !(worth || coming))
        return 0;
    pthread_mutex_lock(&pool->lock);
    coming = publish(pool, team, worth, coming, &woken);
    pthread_mutex_unlock(&pool->lock);
    wake_all(&woken);
    return coming;
}

static void withdraw(struct team_host *host, struct team *team)
{
    struct pool *pool = pool_of(host);
    if (pool->invitation == team) { /* the lock: whoever is about to enter has done so then */
        pthread_mutex_lock(&pool->lock);
        if (pool->invitation == team)
            pool->invitation = NULL;
        pthread_mutex_unlock(&pool->lock);
    }
    if (atomic_load_explicit(&team->stalled, memory_order_relaxed)) {
        int64_t longer = 4 * pool->alone_ns;
        pool->alone_ns = longer < LEAST_ALONE_NS ? LEAST_ALONE_NS : longer < most_alone_ns ? longer : most_alone_ns;
        pool->alone_until_ns = clock_ns() + pool->alone_ns;
    } else if (team->helped && pool->alone_ns) {
        pool->alone_ns = 0;
    }
}

/* Longer and longer, so that the system finds this processor idle and moves the thread here that is waited for. */
static void relax_invitations(struct team_host *host, size_t times)
{
    (void)host;
    long nap = times < 16 ? RELAX_NS * (long)times : MOST_RELAX_NS;
    nanosleep(&(struct timespec){.tv_nsec = nap}, NULL);
}

static void *work_on_tasks(void *argument)
{
    struct worker *worker = argument;
    struct task *task;
    cpus_compute();
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

bool pool_start(struct pool *pool, size_t workers, bool pin, size_t max_queued, size_t scratch_bytes)
{
    *pool = (struct pool){.max_queued = max_queued,
                          .host = {.invite = invite, .withdraw = withdraw, .relax = relax_invitations}};
    for (size_t i = 0; i < POOL_LINES; i++)
        pool->lines[i].last = &pool->lines[i].first;
    pthread_mutex_init(&pool->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pool->workers = aligned_alloc(_Alignof(struct worker), workers * sizeof *pool->workers);
    for (size_t i = 0; pool->workers && i < workers; i++) {
        struct worker *worker = &pool->workers[i];
        *worker = (struct worker){.pool = pool, .index = i};
        pthread_cond_init(&worker->wake, &monotonic);
        if (!arena_reserve(&worker->arena, scratch_bytes))
            break;
        if (pthread_create(&worker->thread, NULL, pin ? work_on_tasks_pinned : work_on_tasks, worker)) {
            arena_close(&worker->arena);
            break;
        }
        pool->n_workers++;
    }
    pthread_condattr_destroy(&monotonic);
    if (pool->n_workers == workers)
        return true;
    pool_stop(pool);
    return false;
}

/* Under the lock. A sleeper is taken, which the caller wakes. */
static void append_task(struct pool *pool, struct task *task, enum pool_line which, struct woken *woken)
{
    struct task_line *line = &pool->lines[which];
    task->next = NULL;
    *line->last = task;
    line->last = &task->next;
    line->n++;
    pool->waits++;
    atomic_store(&pool->host.recall, true);
    atomic_fetch_add_explicit(&pool->news, 1, memory_order_release);
    if (pool->waits > 1 || !pool->looking)
        take_sleepers(pool, 1, woken);
}

bool pool_try_add(struct pool *pool, struct task *task)
{
    struct woken woken = {.n = 0};
    pthread_mutex_lock(&pool->lock);
    bool room = pool->lines[POOL_QUEUE].n < pool->max_queued && !pool->closing;
    if (room)
        append_task(pool, task, POOL_QUEUE, &woken);
    pthread_mutex_unlock(&pool->lock);
    wake_all(&woken);
    return room;
}

void pool_add_again(struct pool *pool, struct task *task, enum pool_line line)
{
    struct woken woken = {.n = 0};
    pthread_mutex_lock(&pool->lock);
    append_task(pool, task, line, &woken);
    pthread_mutex_unlock(&pool->lock);
    wake_all(&woken);
}

/* Under the lock. */
static size_t share_of(const struct pool *pool, enum pool_line line)
{
    return (pool->lines[line].n + pool->n_workers - 1) / pool->n_workers;
}

struct task *pool_take(struct worker *worker, const size_t most[POOL_LINES], size_t waiting[POOL_LINES], int64_t now_ns)
{
    struct pool *pool = worker->pool;
    struct task *taken = NULL, **last = &taken;
    looks_now(worker);
    waiting[POOL_QUEUE] = waiting[POOL_SLICED] = 0;
    if (!pool->waits)
        return NULL;
    pthread_mutex_lock(&pool->lock);
    for (enum pool_line line = POOL_QUEUE; line < POOL_LINES; line++) {
        size_t share = share_of(pool, line);
        for (size_t i = 0; i < share && i < most[line]; i++) {
            if (!(*last = first_task(pool, line, now_ns)))
                break;
            last = &(*last)->next;
            *last = NULL;
        }
        waiting[line] = share_of(pool, line);
    }
    pthread_mutex_unlock(&pool->lock);
    return taken;
}

void pool_wait(struct worker *worker, int64_t until_ns)
{
    struct pool *pool = worker->pool;
    pthread_mutex_lock(&pool->lock);
    while (!any_waits(pool) && !pool->closing && clock_ns() < until_ns)
        sleep_until(worker, until_ns);
    pthread_mutex_unlock(&pool->lock);
}

void pool_done(struct pool *pool)
{
    pool->running--;
}

/* Under the lock: take those past their deadline out of a line; returns how many. */
static size_t expire_tasks(struct task_line *line, int64_t now_ns, bool all, struct task **expired)
{
    struct task **at = &line->first, *task;
    size_t before = line->n;
    while ((task = *at)) {
        if (all || task->deadline_ns <= now_ns) {
            *at = task->next;
            task->next = *expired;
            *expired = task;
            line->n--;
        } else {
            at = &task->next;
        }
    }
    line->last = at;
    return before - line->n;
}

void pool_expire(struct pool *pool, int64_t now_ns, bool all)
{
    struct task *expired = NULL, *task;
    if (!pool->waits)
        return;
    pthread_mutex_lock(&pool->lock);
    for (size_t i = 0; i < POOL_LINES; i++)
        pool->waits -= expire_tasks(&pool->lines[i], now_ns, all, &expired);
    atomic_store(&pool->host.recall, any_waits(pool));
    pthread_mutex_unlock(&pool->lock);
    while ((task = expired)) {
        expired = task->next;
        task->expire(task);
    }
}

void pool_load(const struct pool *pool, size_t *queued, size_t *running)
{
    *queued = pool->lines[POOL_QUEUE].n;
    *running = pool->running;
}

void pool_stop(struct pool *pool)
{
    pthread_mutex_lock(&pool->lock);
    pool->closing = true;
    atomic_fetch_add_explicit(&pool->news, 1, memory_order_release);
    for (struct woken woken = {.n = 0}; pool->sleepers; woken.n = 0) {
        take_sleepers(pool, TEAM_MAX_SEATS, &woken);
        wake_all(&woken);
    }
    pthread_mutex_unlock(&pool->lock);
    for (size_t i = 0; i < pool->n_workers; i++) {
        pthread_join(pool->workers[i].thread, NULL);
        arena_close(&pool->workers[i].arena);
        pthread_cond_destroy(&pool->workers[i].wake);
    }
    free(pool->workers);
    pthread_mutex_destroy(&pool->lock);
    *pool = (struct pool){0};
}
