/* Threads that run the same function together on one computation, in step. core starts none: a host that has idle threads
   lends them, and a job begins with those that have come within a small part of the time that it will take. */
#ifndef RNN_TEAM_H
#define RNN_TEAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEAM_MAX_SEATS = 31 }; /* as bits in half of a word of 64, beside one that says whether the job has begun */

struct team;

/* What core asks of whoever has threads; called by the run's own thread. */
struct team_host {
    /* Bid idle threads come, for about that much work. Does not wait; returns how many are likely to come. Each that does
       calls team_enter and, with a seat, team_help. */
    size_t (*invite)(struct team_host *host, struct team *team, double nanoseconds);
    /* No thread may come any more. */
    void (*withdraw)(struct team_host *host, struct team *team);
    /* Give the processor to other threads for a moment: a nap. It is the times-th of this wait, from 1. */
    void (*relax)(struct team_host *host, size_t times);
    /* So many times the threads are wanted elsewhere: unless it is 0, they leave after the job they are at. */
    _Alignas(64) atomic_size_t recall;
};

/* One thread of a job. */
struct team_member {
    size_t index, members;
    struct team *team;
    uint64_t step; /* number of the job, and how often it has passed in it: what it shows the others */
};

typedef void team_job(void *argument, struct team_member *me);

/* One run's team. The run's own thread has seat 0. */
struct team {
    struct team_host *host;
    size_t seats;
    /* what a waiting helper watches: one cache line */
    _Alignas(64) atomic_uint_fast64_t number; /* of the job */
    team_job *job;
    void *argument;
    atomic_bool over;
    atomic_size_t naps;                       /* of all members, less those that are forgiven */
    atomic_bool stalled;                      /* too many of them: the next jobs are the caller's alone */
    bool helped;                              /* some job had more than one member */
    double worked_ns;                         /* estimated, since naps were forgiven last */
    _Alignas(64) atomic_uint_fast64_t joined; /* job number, seats that take part, whether it has begun */
    _Alignas(64) atomic_size_t present;       /* helpers, with or without a job */
    atomic_uint_fast32_t seated;              /* their seats, as bits */
    struct {
        _Alignas(64) atomic_uint_fast64_t step; /* job number and step */
    } progress[TEAM_MAX_SEATS];
};

/* A team of the caller and up to seats - 1 helpers; nobody is invited yet. The team must stay where it is. */
void team_open(struct team *team, struct team_host *host, size_t seats);

/* Let the helpers go, and wait until they have gone. */
void team_close(struct team *team);

/* Run job(argument, member) in the caller and its helpers; returns when all have returned from it. Empty seats are
   offered to idle threads; those that do not come within a small part of the time that the job will take, about that
   many nanoseconds, are not waited for. team may be NULL: the caller alone. */
void team_run(struct team *team, double nanoseconds, team_job *job, void *argument);

/* In a job: wait for the others to get here too. What they wrote before is seen after. */
void team_meet(struct team_member *me);

/* A meeting of two, in its halves: say that one has got here; wait until another has said so as often as oneself. What that
   one wrote before is seen after. All members say it equally often in a job. */
void team_pass(struct team_member *me);
void team_await(struct team_member *me, size_t other);

/* What a thread that spins should do in between. */
void team_pause(void);

/* For helpers: a seat, or 0 when there is none. To be called while the host lets nobody withdraw. */
size_t team_enter(struct team *team);

/* For helpers: work until the team closes, the host recalls, or no job has come for some hundred microseconds. Denormals are
   off meanwhile, as in the run itself. The team may be gone afterwards. False where no job has come. */
bool team_help(struct team *team, size_t seat);

#endif
