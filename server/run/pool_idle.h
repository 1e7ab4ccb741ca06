/* Sleeping workers, and helpers of teams. Only pool.c uses it. */
#ifndef SERVER_RUN_POOL_IDLE_H
#define SERVER_RUN_POOL_IDLE_H

#include "pool.h"

static inline bool pool_any_waits(const struct pool *pool)
{
    return atomic_load(&pool->host.recall);
}

/* Sleep until a task waits, the pool ends, or the time is over; with INT64_MAX, until a task waits, the pool ends or a team
   invites. May return for no reason. */
void pool_sleep(struct worker *worker, int64_t until_ns);

/* Take a sleeping worker, which the caller must wake; NULL if there is none. It is the one with the lowest index, so
   that few tasks stay with few workers, whose caches are warm. */
struct worker *pool_claim_idle(struct pool *pool);
void pool_wake(struct worker *worker);

/* Look at the invitation again, and help the team that invites. Returns false if there was no job for a while: then the
   thread of the run may have lost its CPU, and a helper that spins would keep this CPU from it. */
bool pool_help(struct pool *pool);

/* Watch for a while for a task or an invitation. */
void pool_watch(struct pool *pool);

/* The functions of pool->host. */
size_t pool_invite(struct team_host *host, struct team *team, double nanoseconds);
void pool_withdraw(struct team_host *host, struct team *team);
void pool_relax(struct team_host *host, size_t times);

#endif
