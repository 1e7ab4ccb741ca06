/* The jobs of a team. Helpers join a job by a compare-and-swap; then the job begins for all. Each member has a counter
   of its own for barriers. */
#include "team.h"

#include "core/vec/vec.h"

/* SPINS_BEFORE_RELAXING: the pauses (about 200 us) before a waiting thread yields its processor. SPINS_BEFORE_LEAVING:
   the pauses (about 100 us) before a helper without work leaves. If another process occupies a core, the members wait
   for the member on this core. So after NAPS_OF_A_STALL naps (a millisecond or more), the caller runs alone for the
   next work_alone_ns of work. Unequal shares cause naps, too: one nap is forgiven with every work_of_a_nap_ns of
   work. */
enum { SPINS_BEFORE_RELAXING = 5000, SPINS_BEFORE_LEAVING = 2500, NAPS_OF_A_STALL = 8 };
static const double work_alone_ns = 20e6, work_of_a_nap_ns = 5e6;

/* The caller waits for helpers at most 1/PATIENCE of a job's time, and at most MAX_SPINS_BEFORE_BEGINNING pauses of
   about SPIN_NS. */
enum { PATIENCE = 20, MAX_SPINS_BEFORE_BEGINNING = 2500, SPIN_NS = 40 };

/* The fields of the word `joined`: the number of the job, the bit BEGUN, the seats. */
enum { NUMBER_SHIFT = 32 };
static const uint64_t BEGUN = UINT64_C(1) << TEAM_MAX_SEATS;
_Static_assert((int)TEAM_MAX_SEATS < (int)NUMBER_SHIFT, "the number is above the bits of the seats");

/* The fields of the word `progress`: the number of the job, the step. */
enum { STEP_SHIFT = 32 };

void team_pause(void)
{
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

void team_open(struct team *team, struct team_host *host, size_t seats)
{
    team->host = host;
    team->seats = seats < TEAM_MAX_SEATS ? seats : TEAM_MAX_SEATS;
    atomic_init(&team->number, 0);
    atomic_init(&team->joined, BEGUN);
    atomic_init(&team->present, 0);
    atomic_init(&team->seated, 1);
    atomic_init(&team->over, false);
    atomic_init(&team->stalled, false);
    atomic_init(&team->naps, 0);
    team->helped = false;
    team->worked_ns = 0;
    for (size_t i = 0; i < team->seats; i++)
        atomic_init(&team->progress[i].step, 0);
}

static void wait_a_little(struct team *team, size_t *spins)
{
    if (++*spins < SPINS_BEFORE_RELAXING) {
        team_pause();
        return;
    }
    if (atomic_fetch_add_explicit(&team->naps, 1, memory_order_relaxed) == NAPS_OF_A_STALL)
        atomic_store_explicit(&team->stalled, true, memory_order_relaxed);
    team->host->relax(team->host, *spins + 1 - SPINS_BEFORE_RELAXING);
}

void team_close(struct team *team)
{
    atomic_store_explicit(&team->over, true, memory_order_release);
    team->host->withdraw(team->host, team);
    for (size_t spins = 0; atomic_load_explicit(&team->present, memory_order_acquire);)
        wait_a_little(team, &spins);
}

void team_pass(struct team_member *me)
{
    if (me->members > 1)
        atomic_store_explicit(&me->team->progress[me->index].step, ++me->step, memory_order_release);
}

void team_await(struct team_member *me, size_t other)
{
    size_t spins = 0;
    while (me->members > 1 && atomic_load_explicit(&me->team->progress[other].step, memory_order_acquire) < me->step)
        wait_a_little(me->team, &spins);
}

void team_meet(struct team_member *me)
{
    team_pass(me);
    for (size_t i = 0; me->members > 1 && i < me->members; i++)
        team_await(me, i);
}

/* Run the share of one member. Its index is the number of joined seats below its own seat. */
static void do_share(struct team *team, size_t seat, uint64_t joined)
{
    uint64_t seats = joined & (BEGUN - 1);
    struct team_member me = {.index = (size_t)__builtin_popcountll(seats & ((1u << seat) - 1)),
                             .members = (size_t)__builtin_popcountll(seats),
                             .team = team,
                             .step = joined >> NUMBER_SHIFT << STEP_SHIFT};
    team->job(team->argument, &me);
    team_meet(&me);
}

/* Called between two jobs. */
static void forgive_naps(struct team *team, double nanoseconds)
{
    bool stalled = atomic_load_explicit(&team->stalled, memory_order_relaxed);
    size_t naps = atomic_load_explicit(&team->naps, memory_order_relaxed);
    double each = stalled ? work_alone_ns : work_of_a_nap_ns;
    team->worked_ns += nanoseconds;
    size_t forgiven = (size_t)(team->worked_ns / each);
    team->worked_ns -= (double)forgiven * each;
    if (stalled && forgiven) {
        atomic_store_explicit(&team->stalled, false, memory_order_relaxed);
        forgiven = naps;
    }
    atomic_fetch_sub_explicit(&team->naps, forgiven < naps ? forgiven : naps, memory_order_relaxed);
}

/* The number of helpers for which the job waits. */
static size_t helpers_of(struct team *team, double nanoseconds)
{
    if (!team)
        return 0;
    forgive_naps(team, nanoseconds);
    if (atomic_load_explicit(&team->stalled, memory_order_relaxed))
        return 0;
    size_t present = atomic_load_explicit(&team->present, memory_order_relaxed);
    if (present + 1 < team->seats) {
        size_t more = team->host->invite(team->host, team, nanoseconds);
        present += more < team->seats - 1 - present ? more : team->seats - 1 - present;
    }
    return present;
}

void team_run(struct team *team, double nanoseconds, team_job *job, void *argument)
{
    size_t helpers = helpers_of(team, nanoseconds);
    if (!helpers) {
        job(argument, &(struct team_member){.members = 1});
        return;
    }
    uint64_t number = atomic_load_explicit(&team->number, memory_order_relaxed) + 1;
    team->job = job;
    team->argument = argument;
    uint64_t joined = number << NUMBER_SHIFT | 1;
    atomic_store_explicit(&team->joined, joined, memory_order_release);
    atomic_store_explicit(&team->number, number, memory_order_release);
    double patience = nanoseconds / PATIENCE / SPIN_NS;
    for (size_t spins = 0; (double)spins < patience && spins < MAX_SPINS_BEFORE_BEGINNING; spins++) {
        joined = atomic_load_explicit(&team->joined, memory_order_relaxed);
        if ((size_t)__builtin_popcountll(joined & (BEGUN - 1)) > helpers)
            break;
        team_pause();
    }
    joined = atomic_fetch_or_explicit(&team->joined, BEGUN, memory_order_acq_rel);
    team->helped |= (joined & (BEGUN - 1)) != 1;
    do_share(team, 0, joined);
}

/* Join job `number`, unless it has begun. Returns the value of `joined` with which the job begins, or 0 if it was too
   late. */
static uint64_t join_job(struct team *team, size_t seat, uint64_t number)
{
    uint64_t joined = atomic_load_explicit(&team->joined, memory_order_acquire);
    do {
        if (joined >> NUMBER_SHIFT != number || joined & BEGUN)
            return 0;
    } while (!atomic_compare_exchange_weak_explicit(&team->joined, &joined, joined | 1u << seat, memory_order_acq_rel,
                                                    memory_order_acquire));
    for (size_t spins = 0; !((joined = atomic_load_explicit(&team->joined, memory_order_acquire)) & BEGUN);)
        wait_a_little(team, &spins);
    return joined;
}

size_t team_enter(struct team *team)
{
    uint_fast32_t seated = atomic_load_explicit(&team->seated, memory_order_relaxed);
    size_t seat = (size_t)__builtin_ctzll(~(uint64_t)seated);
    if (seat >= team->seats)
        return 0;
    atomic_fetch_or_explicit(&team->seated, 1u << seat, memory_order_relaxed);
    atomic_fetch_add_explicit(&team->present, 1, memory_order_relaxed);
    return seat;
}

bool team_help(struct team *team, size_t seat)
{
    unsigned long long saved = vec_denormals_off();
    uint64_t seen = 0;
    size_t spins = 0;
    for (; spins < SPINS_BEFORE_LEAVING; spins++) {
        uint64_t number = atomic_load_explicit(&team->number, memory_order_acquire);
        if (number != seen) {
            uint64_t joined = join_job(team, seat, number);
            seen = number;
            if (joined)
                do_share(team, seat, joined);
            spins = 0;
        }
        if (atomic_load_explicit(&team->over, memory_order_acquire) ||
            atomic_load_explicit(&team->host->recall, memory_order_relaxed))
            break;
        team_pause();
    }
    vec_denormals_restore(saved);
    atomic_fetch_and_explicit(&team->seated, ~(1u << seat), memory_order_relaxed);
    atomic_fetch_sub_explicit(&team->present, 1, memory_order_release);
    return spins < SPINS_BEFORE_LEAVING;
}
