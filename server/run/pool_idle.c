/* What workers without a task do: they sleep, help a team, or watch for the next one. No lock is taken to fall asleep or to
   wake somebody. A worker sets its bit in pool->idle and then looks whether a task waits; who adds a task makes the task
   wait and then looks at the bits. So one of them sees the other. Whoever clears the bit of another worker must wake that
   worker. */
#include "pool_idle.h"

#include "server/base/clock.h"
#include "server/base/cpus.h"

#include <time.h>

/* Waking a sleeping worker takes some ten microseconds, so a smaller run is not worth it, unless others came shortly
   before: then the woken worker goes on watching and is there at once for those that follow. */
enum { WORTH_WAKING_NS = 200000, SHORTLY_NS = 30000, WATCH_NS = 100000, RELAX_NS = 50000, MOST_RELAX_NS = 1000000 };

/* How long a run that had to wait for helpers without a processor keeps others from inviting any; and, at least, how long
   it is till the next look at a system whose processors were all wanted then. */
enum { LEAST_ALONE_NS = 25000000 };
static const int64_t most_alone_ns = 30000000000;

/* ---- sleep ---- */

static size_t words_of(const struct pool *pool)
{
    return (pool->n_workers + POOL_WORD - 1) / POOL_WORD;
}

static uint64_t bit_of(const struct worker *worker)
{
    return UINT64_C(1) << worker->index % POOL_WORD;
}

/* Returns false if another thread has done it; this thread then wakes the worker. */
static bool leave_idle(struct worker *worker)
{
    uint64_t bit = bit_of(worker);
    return atomic_fetch_and(&worker->pool->idle[worker->index / POOL_WORD], ~bit) & bit;
}

static void wait_for_wake(struct worker *worker)
{
    while (sem_wait(&worker->wake)) /* a signal */
        ;
}

void pool_sleep(struct worker *worker, int64_t until_ns)
{
    struct pool *pool = worker->pool;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    bool woken = false;
    atomic_fetch_or(&pool->idle[worker->index / POOL_WORD], bit_of(worker));
    bool ever = until_ns == INT64_MAX, invited = ever && atomic_load(&pool->invitation);
    if (!pool_any_waits(pool) && !invited && !atomic_load(&pool->over)) {
        if (ever) {
            wait_for_wake(worker);
            return;
        }
        woken = !sem_clockwait(&worker->wake, CLOCK_MONOTONIC, &until);
    }
    if (!woken && !leave_idle(worker))
        wait_for_wake(worker);
}

struct worker *pool_claim_idle(struct pool *pool)
{
    for (size_t i = 0; i < words_of(pool); i++)
        for (uint64_t word; (word = atomic_load(&pool->idle[i]));) {
            struct worker *worker = &pool->workers[i * POOL_WORD + (size_t)__builtin_ctzll(word)];
            if (leave_idle(worker))
                return worker;
        }
    return NULL;
}

void pool_wake(struct worker *worker)
{
    sem_post(&worker->wake);
}

static size_t count_idle(const struct pool *pool)
{
    size_t n = 0;
    for (size_t i = 0; i < words_of(pool); i++)
        n += (size_t)__builtin_popcountll(atomic_load_explicit(&pool->idle[i], memory_order_relaxed));
    return n;
}

/* ---- teams ---- */

/* The team of this invitation may have ended, and another team may be at the same address. The worker must not help
   that one. */
static void withdraw_team(struct pool *pool, const struct team *team)
{
    pthread_mutex_lock(&pool->team_lock);
    if (pool->invitation == team)
        pool->invitation = NULL;
    pthread_mutex_unlock(&pool->team_lock);
}

bool pool_help(struct pool *pool)
{
    pthread_mutex_lock(&pool->team_lock);
    struct team *team = pool->invitation;
    size_t seat = team ? team_enter(team) : 0;
    if (!seat)
        pool->invitation = NULL;
    pthread_mutex_unlock(&pool->team_lock);
    if (!seat || team_help(team, seat))
        return true;
    withdraw_team(pool, team); /* the next job of the team invites again */
    return false;
}

void pool_watch(struct pool *pool)
{
    size_t news = atomic_load(&pool->news);
    int64_t end = clock_ns() + WATCH_NS;
    atomic_fetch_add(&pool->spinning, 1);
    for (size_t i = 1; atomic_load_explicit(&pool->news, memory_order_acquire) == news && !pool_any_waits(pool); i++) {
        if (i % 64 == 0 && clock_ns() > end)
            break;
        team_pause();
    }
    atomic_fetch_sub(&pool->spinning, 1);
}

static struct pool *pool_of(struct team_host *host)
{
    return (struct pool *)((char *)host - offsetof(struct pool, host));
}

/* Whether the team is published. */
static bool publish(struct pool *pool, struct team *team)
{
    pthread_mutex_lock(&pool->team_lock);
    bool free = !pool->invitation;
    if (free)
        atomic_store(&pool->invitation, team);
    pthread_mutex_unlock(&pool->team_lock);
    if (free)
        atomic_fetch_add_explicit(&pool->news, 1, memory_order_release);
    return free;
}

/* Small runs call this function for every request. They find out without the lock that no helper is needed. If no
   worker is idle, they write nothing that other workers read. */
size_t pool_invite(struct team_host *host, struct team *team, double nanoseconds)
{
    struct pool *pool = pool_of(host);
    size_t watching = atomic_load_explicit(&pool->spinning, memory_order_relaxed), idle = count_idle(pool), woken = 0;
    if (!watching && !idle)
        return 0;
    int64_t now = clock_ns(), alone_until = pool->alone_until_ns;
    if (alone_until && now < alone_until)
        return 0;
    if (alone_until) {
        pool->alone_until_ns = cpus_all_wanted() ? now + LEAST_ALONE_NS : 0;
        if (pool->alone_until_ns)
            return 0;
    }
    bool worth = nanoseconds >= WORTH_WAKING_NS || now - pool->invited_ns < SHORTLY_NS;
    pool->invited_ns = now + (int64_t)nanoseconds;
    if (pool->invitation || !(worth || watching) || !publish(pool, team))
        return 0;
    for (struct worker *worker; worth && woken + 1 < team->seats && (worker = pool_claim_idle(pool)); woken++)
        pool_wake(worker);
    return watching + (worth ? idle : 0);
}

void pool_withdraw(struct team_host *host, struct team *team)
{
    struct pool *pool = pool_of(host);
    if (pool->invitation == team) /* after the lock is released, no worker is in the middle of entering */
        withdraw_team(pool, team);
    if (atomic_load_explicit(&team->stalled, memory_order_relaxed)) {
        int64_t longer = 4 * pool->alone_ns;
        pool->alone_ns = longer < LEAST_ALONE_NS ? LEAST_ALONE_NS : longer < most_alone_ns ? longer : most_alone_ns;
        pool->alone_until_ns = clock_ns() + pool->alone_ns;
    } else if (team->helped && pool->alone_ns) {
        pool->alone_ns = 0;
    }
}

/* The naps become longer and longer, so that the kernel finds this processor idle and moves the awaited thread to
   it. */
void pool_relax(struct team_host *host, size_t times)
{
    (void)host;
    long nap = times < 16 ? RELAX_NS * (long)times : MOST_RELAX_NS;
    nanosleep(&(struct timespec){.tv_nsec = nap}, NULL);
}
