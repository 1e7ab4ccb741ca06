/* A team of threads that run the same function on one computation and synchronize. core starts no threads: a host lends
   idle threads. A job waits for invited threads only for a small part of its estimated time, and begins with the
   threads that have joined. */
#ifndef RNN_TEAM_H
#define RNN_TEAM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { TEAM_MAX_SEATS = 31 }; /* seats are bits in 32 bits of a word, beside one bit for "the job has begun" */

struct team;

/* The functions of the program that owns the threads. The thread of the run calls them. */
struct team_host {
    /* Invite idle threads for about that much work. Does not wait. Returns the number of threads that are likely to
       come. Each thread that comes calls team_enter, and team_help if it got a seat. */
    size_t (*invite)(struct team_host *host, struct team *team, double nanoseconds);
    /* After this call no more threads come. */
    void (*withdraw)(struct team_host *host, struct team *team);
    /* Take a nap: give the processor to other threads for a moment. It is nap number `times` of this wait, from 1. */
    void (*relax)(struct team_host *host, size_t times);
    /* The number of other demands for the threads. Unless it is 0, helpers leave after their current job. */
    _Alignas(64) atomic_size_t recall;
};

/* One thread of a job. */
struct team_member {
    size_t index, members;
    struct team *team;
    uint64_t step; /* the number of the job, and how often this member has called team_pass in it; other members read
                      it */
};

typedef void team_job(void *argument, struct team_member *me);

/* One run's team. The run's own thread has seat 0. */
struct team {
    struct team_host *host;
    size_t seats;
    /* waiting helpers read this cache line */
    _Alignas(64) atomic_uint_fast64_t number; /* the number of the job */
    team_job *job;
    void *argument;
    atomic_bool over;
    atomic_size_t naps;                       /* naps of all members, minus the forgiven ones */
    atomic_bool stalled;                      /* there were too many naps: the caller runs the next jobs alone */
    bool helped;                              /* at least one job had more than one member */
    double worked_ns;                         /* estimated work since naps were last forgiven */
    _Alignas(64) atomic_uint_fast64_t joined; /* the number of the job, whether it has begun, and the seats that
                                                 joined */
    _Alignas(64) atomic_size_t present;       /* the number of helpers, with or without a job */
    atomic_uint_fast32_t seated;              /* their seats, as bits */
    struct {
        _Alignas(64) atomic_uint_fast64_t step; /* job number and step */
    } progress[TEAM_MAX_SEATS];
};

/* Open a team of the caller and up to seats - 1 helpers, without inviting any. The team must not move in memory. */
void team_open(struct team *team, struct team_host *host, size_t seats);

/* Dismiss the helpers, and wait until they have left. */
void team_close(struct team *team);

/* Run job(argument, member) in the caller and its helpers. Returns when all of them have finished. nanoseconds is the
   estimated time of the job. If seats are empty, the host invites idle threads; the job waits for them only for a small
   part of its time. If team is NULL, the caller runs the job alone. */
void team_run(struct team *team, double nanoseconds, team_job *job, void *argument);

/* A barrier in a job: wait until all members have called team_meet. Afterwards their earlier writes are visible. */
void team_meet(struct team_member *me);

/* The two halves of a barrier. team_pass announces that this member has arrived. team_await waits until member `other`
   has called team_pass as often as this member; afterwards its earlier writes are visible. In a job, all members call
   team_pass equally often. */
void team_pass(struct team_member *me);
void team_await(struct team_member *me, size_t other);

/* A pause instruction for loops that spin. */
void team_pause(void);

/* For helpers: take a seat; 0 if none is free. The host must not complete a withdraw during the call. */
size_t team_enter(struct team *team);

/* For helpers: work until the team closes, the host recalls its threads, or there was no job for about a hundred
   microseconds. Denormals are off meanwhile, as in the run itself. Afterwards the team may no longer exist. Returns
   false if the helper left because there was no job. */
bool team_help(struct team *team, size_t seat);

#endif
