/* Teams: results have the same bits as those of one thread, no matter when helpers join or leave. */
#include "tests/unit/unit.h"

#include "core/team.h"
#include "server/base/cpus.h"
#include "server/run/pool.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#if defined(__SANITIZE_THREAD__)
enum { ROUNDS = 2 };
#else
enum { ROUNDS = 20 };
#endif
enum { TIMESTEPS = 40, MAX_ROWS = 40, FEATURES = 5 };

/* Runs rows of different lengths, some masked, through a layer, with a team or without. */
static void run(const struct rnn_recurrence *layer, size_t rows, struct team *team, float *states, float *outputs)
{
    static float inputs[MAX_ROWS][TIMESTEPS][FEATURES];
    static unsigned char masks[MAX_ROWS][TIMESTEPS];
    struct rnn_row all[MAX_ROWS], *order[MAX_ROWS];
    struct arena arena = {0};
    size_t bytes, width = layer->stack.output_size, elems = layer->stack.state_elems;
    unsigned seed = 7;
    memset(outputs, 0, rows * TIMESTEPS * width * sizeof *outputs);
    for (size_t r = 0; r < rows; r++) {
        for (size_t t = 0; t < TIMESTEPS; t++) {
            masks[r][t] = (r * 31 + t * 17) % 7 > 0;
            for (size_t f = 0; f < FEATURES; f++)
                inputs[r][t][f] = unit_random(&seed);
        }
        for (size_t i = 0; i < elems; i++)
            states[r * elems + i] = unit_random(&seed);
        all[r] = (struct rnn_row){.inputs = inputs[r][0],
                                  .timesteps = TIMESTEPS - r * 5 % 23,
                                  .input_stride = FEATURES,
                                  .mask = r % 3 ? NULL : masks[r],
                                  .mask_stride = 1,
                                  .states = states + r * elems,
                                  .outputs = outputs + r * TIMESTEPS * width,
                                  .output_stride = (ptrdiff_t)width,
                                  .sequences = true};
    }
    assert_true(rnn_recurrence_scratch(layer, rows, &bytes) && arena_reserve(&arena, bytes));
    const struct rnn_recurrence_means means = {.order = order, .arena = &arena, .team = team};
    assert_true(rnn_recurrence_run(layer, all, rows, &means));
    arena_close(&arena);
}

static struct rnn_cell_spec *stack_of(const struct cell_class *class, size_t units, size_t n, bool reset_after)
{
    struct rnn_cell_spec *cells[4];
    for (size_t i = 0; i < n; i++) {
        cells[i] = unit_leaf(class, i % 2 && units == 37 ? 20 : units);
        cells[i]->reset_after = reset_after;
        cells[i]->residuals = i % 2 && units != 37;
    }
    return unit_stack(cells, n);
}

static void check(const struct rnn_recurrence *layer, size_t rows, struct pool *pool)
{
    size_t n_states = rows * layer->stack.state_elems, n_outputs = rows * TIMESTEPS * layer->stack.output_size;
    float *alone = malloc((n_states + n_outputs) * sizeof *alone),
          *shared = malloc((n_states + n_outputs) * sizeof *alone);
    run(layer, rows, NULL, alone, alone + n_states);
    for (int round = 0; round < ROUNDS; round++) {
        struct team team;
        team_open(&team, &pool->host, pool->n_workers + 1);
        run(layer, rows, &team, shared, shared + n_states);
        team_close(&team);
        for (size_t i = 0; i < n_states + n_outputs; i++)
            if (memcmp(&alone[i], &shared[i], sizeof *alone))
                fail_msg("%s(%zu) x %zu, %zu rows, round %d: %s %zu: %.9g, alone %.9g",
                         layer->stack.cells[0].class->keras_name, layer->stack.cells[0].units, layer->stack.n_cells,
                         rows, round, i < n_states ? "state" : "output", i < n_states ? i : i - n_states,
                         (double)shared[i], (double)alone[i]);
    }
    free(alone);
    free(shared);
}

static void teams_compute_what_one_thread_does(void **state)
{
    (void)state;
    static const struct cell_class *const classes[] = {&cell_lstm, &cell_gru, &cell_simple_rnn, &cell_gru,
                                                       &cell_peephole_lstm};
    const struct vec_ops *vec;
    struct pool pool;
    assert_true(pool_start(&pool, 3, false, 4, 0));
    for (size_t v = 0; (vec = vec_available(v)); v++)
        for (size_t c = 0; c < sizeof classes / sizeof *classes; c++)
            for (size_t k = 0; k < 4; k++) {
                static const size_t units[] = {3, 37, 100, 150}, cells[] = {3, 2, 2, 1};
                struct rnn_recurrence layer = {.return_sequences = true};
                unit_build(&layer.stack, stack_of(classes[c], units[k], cells[k], c != 3), FEATURES, vec,
                           1 / sqrt((double)units[k]));
                check(&layer, 1, &pool);
                check(&layer, 3, &pool);
                check(&layer, 5, &pool);
                check(&layer, MAX_ROWS, &pool);
                rnn_stack_close(&layer.stack);
            }
    pool_stop(&pool);
}

/* ---- helpers that join and leave ---- */

struct count {
    atomic_size_t members[TEAM_MAX_SEATS + 1], sum;
};

static void count_members(void *argument, struct team_member *me)
{
    struct count *count = argument;
    atomic_fetch_add(&count->sum, me->index + 1);
    team_meet(me);
    size_t expected = me->members * (me->members + 1) / 2;
    assert_int_equal(atomic_load(&count->sum), expected);
    team_meet(me);
    if (me->index == 0) {
        atomic_fetch_add(&count->members[me->members], 1);
        atomic_store(&count->sum, 0);
    }
}

/* On one processor no helper runs while the caller spins. */
static void need_two_processors(void)
{
    if (cpus_available() < 2)
        skip();
}

/* A host whose threads help all the time, so that the test does not depend on other load of the machine. */
struct helping_host {
    struct team_host host;
    struct team team;
    pthread_t threads[3];
    size_t n;
    atomic_bool stop;
    atomic_size_t naps; /* how often the caller slept */
};

static struct helping_host *helping_host_of(struct team_host *host)
{
    return (struct helping_host *)((char *)host - offsetof(struct helping_host, host));
}

static size_t all_are_coming(struct team_host *host, struct team *team, double nanoseconds)
{
    (void)team, (void)nanoseconds;
    return helping_host_of(host)->n;
}

static void end_helping(struct team_host *host, struct team *team)
{
    struct helping_host *helping = helping_host_of(host);
    (void)team;
    atomic_store(&helping->stop, true);
    for (size_t i = 0; i < helping->n; i++)
        pthread_join(helping->threads[i], NULL);
}

static void count_nap(struct team_host *host, size_t times)
{
    (void)times;
    atomic_fetch_add(&helping_host_of(host)->naps, 1);
    sched_yield();
}

static void *help_without_end(void *argument)
{
    struct helping_host *helping = argument;
    while (!atomic_load(&helping->stop)) {
        size_t seat = team_enter(&helping->team);
        if (seat)
            team_help(&helping->team, seat);
        sched_yield();
    }
    return NULL;
}

static void open_helping(struct helping_host *helping, size_t n)
{
    *helping =
        (struct helping_host){.host = {.invite = all_are_coming, .withdraw = end_helping, .relax = count_nap}, .n = n};
    team_open(&helping->team, &helping->host, n + 1);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(pthread_create(&helping->threads[i], NULL, help_without_end, helping), 0);
}

static size_t jobs_of(const struct count *count, size_t least_members)
{
    size_t jobs = 0;
    for (size_t m = least_members; m <= TEAM_MAX_SEATS; m++)
        jobs += count->members[m];
    return jobs;
}

static void all_members_of_a_team_meet(void **state)
{
    (void)state;
    struct helping_host helping;
    struct count count = {0};
    size_t jobs = 0;
    need_two_processors();
    open_helping(&helping, 2);
    for (; jobs_of(&count, 2) < 30 && jobs < 1000000; jobs++)
        team_run(&helping.team, 1e6, count_members, &count);
    team_close(&helping.team);
    assert_int_equal(jobs_of(&count, 0), jobs);
    assert_int_equal(jobs_of(&count, 2), 30);
}

static void a_team_has_the_requested_seats(void **state)
{
    (void)state;
    struct helping_host helping;
    need_two_processors();
    for (size_t seats = 2; seats <= TEAM_MAX_SEATS + 9; seats += 7) {
        size_t most = seats < TEAM_MAX_SEATS ? seats : TEAM_MAX_SEATS;
        open_helping(&helping, 0);
        team_open(&helping.team, &helping.host, seats);
        for (size_t i = 1; i < most; i++)
            assert_int_equal(team_enter(&helping.team), i);
        assert_int_equal(team_enter(&helping.team), 0);
        for (size_t i = 1; i < most; i++) {
            atomic_store(&helping.team.over, true);
            team_help(&helping.team, most - i); /* returns at once */
        }
        assert_int_equal(atomic_load(&helping.team.present), 0);
        assert_int_equal(atomic_load(&helping.team.seated), 1);
        team_close(&helping.team);
    }
}

/* The pool's workers fall asleep and are woken; the number of helpers depends on other load of the machine. */
static void workers_of_the_pool_help(void **state)
{
    (void)state;
    need_two_processors();
    struct pool pool;
    struct count count = {0};
    size_t jobs = 0;
    assert_true(pool_start(&pool, 3, false, 4, 0));
    for (int i = 0; i < 50; i++) {
        struct team team;
        team_open(&team, &pool.host, 4);
        for (int k = 0; k < 40; k++, jobs++)
            team_run(&team, 1e6, count_members, &count);
        team_close(&team);
        if (i % 10 == 0) /* long enough for the workers to fall asleep */
            nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    print_message("%zu of %zu jobs had help\n", jobs_of(&count, 2), jobs);
    assert_int_equal(jobs_of(&count, 0), jobs);
    pool_stop(&pool);
}

/* If the next job of a team is late, its helper leaves instead of spinning, and joins again for later jobs. */
static void helpers_do_not_wait_for_long(void **state)
{
    (void)state;
    need_two_processors();
    struct pool pool;
    struct count count = {0};
    struct team team;
    assert_true(pool_start(&pool, 1, false, 4, 0));
    team_open(&team, &pool.host, 2);
    for (int round = 0; round < 3; round++) {
        size_t before = jobs_of(&count, 2);
        for (int i = 0; i < 20000 && jobs_of(&count, 2) == before; i++)
            team_run(&team, 1e6, count_members, &count);
        for (int i = 0; i < 5000 && (atomic_load(&pool.invitation) || atomic_load(&team.present)); i++)
            nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        assert_null(atomic_load(&pool.invitation));
        assert_int_equal(atomic_load(&team.present), 0);
    }
    team_close(&team);
    pool_stop(&pool);
}

static void small_jobs_run_without_helpers(void **state)
{
    (void)state;
    struct pool pool;
    struct count count = {0};
    struct team team;
    assert_true(pool_start(&pool, 2, false, 4, 0));
    nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    team_open(&team, &pool.host, 3);
    team_run(&team, 1000, count_members, &count);
    team_close(&team);
    assert_int_equal(count.members[1], 1);
    team_run(NULL, 1e9, count_members, &count);
    assert_int_equal(count.members[1], 2);
    pool_stop(&pool);
}

/* A job whose helper finishes after the caller has slept `naps` times. */
struct late {
    struct helping_host *helping;
    size_t naps, with_help;
};

static void come_late(void *argument, struct team_member *me)
{
    struct late *late = argument;
    if (me->members == 1)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    else if (!me->index)
        late->with_help++;
    else
        while (atomic_load(&late->helping->naps) < late->naps)
            sched_yield();
}

/* After a long wait for its helpers a team runs jobs without them, and tries again after a certain amount of work. */
static void helpers_are_not_used_after_a_long_wait(void **state)
{
    (void)state;
    enum { NAPS_OF_A_LONG_WAIT = 20, JOBS_ALONE = 14, MOST_JOBS = 100000 };
    struct helping_host helping;
    struct late late = {.helping = &helping, .naps = NAPS_OF_A_LONG_WAIT};
    need_two_processors();
    open_helping(&helping, 1);
    for (int i = 0; i < MOST_JOBS && !late.with_help; i++)
        team_run(&helping.team, 1e6, come_late, &late);
    assert_int_equal(late.with_help, 1);
    late = (struct late){.helping = &helping};
    for (int i = 0; i < JOBS_ALONE; i++)
        team_run(&helping.team, 1e6, come_late, &late);
    assert_int_equal(late.with_help, 0);
    for (int i = 0; i < MOST_JOBS && !late.with_help; i++)
        team_run(&helping.team, 1e6, come_late, &late);
    assert_int_equal(late.with_help, 1);
    team_close(&helping.team);
}

/* A host with one thread that helps all the time. Its share of each job takes longer than that of the caller, who
   sleeps until it is done. */
struct late_host {
    struct team_host host;
    struct team team;
    pthread_t thread;
    atomic_bool stop;
    atomic_size_t asked_for, done, with_help;
};

static struct late_host *late_host_of(struct team_host *host)
{
    return (struct late_host *)((char *)host - offsetof(struct late_host, host));
}

static size_t one_is_coming(struct team_host *host, struct team *team, double nanoseconds)
{
    (void)host, (void)team, (void)nanoseconds;
    return 1;
}

static void end_late_host(struct team_host *host, struct team *team)
{
    struct late_host *late = late_host_of(host);
    (void)team;
    atomic_store(&late->stop, true);
    pthread_join(late->thread, NULL);
}

/* The first sleep lasts until the helper's share is done. The caller sleeps again only if the helper is delayed after
   that. */
static void nap_till_done(struct team_host *host, size_t times)
{
    struct late_host *late = late_host_of(host);
    atomic_store(&late->asked_for, atomic_load(&late->with_help));
    while (times == 1 && !atomic_load(&late->stop) && atomic_load(&late->done) < atomic_load(&late->asked_for))
        nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
}

static void *help_all_the_time(void *argument)
{
    struct late_host *late = argument;
    while (!atomic_load(&late->stop)) {
        size_t seat = team_enter(&late->team);
        if (seat)
            team_help(&late->team, seat);
    }
    return NULL;
}

/* The helper finishes its share after the caller has begun to sleep. */
static void share_unequally(void *argument, struct team_member *me)
{
    struct late_host *late = argument;
    if (me->members == 1)
        nanosleep(&(struct timespec){.tv_nsec = 100000}, NULL);
    else if (!me->index)
        atomic_fetch_add(&late->with_help, 1);
    else {
        size_t job = atomic_load(&late->done) + 1;
        while (atomic_load(&late->asked_for) < job)
            team_pause();
        atomic_store(&late->done, job);
    }
}

/* A share that takes a little longer is no reason to run jobs without helpers. */
static void helpers_are_used_for_unequal_shares(void **state)
{
    (void)state;
    struct late_host late = {.host = {.invite = one_is_coming, .withdraw = end_late_host, .relax = nap_till_done}};
    need_two_processors();
    team_open(&late.team, &late.host, 2);
    assert_int_equal(pthread_create(&late.thread, NULL, help_all_the_time, &late), 0);
    bool stalled = false;
    for (int i = 0; i < 20000 && atomic_load(&late.with_help) < 50; i++) {
        team_run(&late.team, 20e6, share_unequally, &late);
        stalled |= atomic_load(&late.team.stalled);
    }
    team_close(&late.team);
    assert_int_equal(atomic_load(&late.with_help), 50);
    assert_false(stalled);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(teams_compute_what_one_thread_does),     cmocka_unit_test(all_members_of_a_team_meet),
        cmocka_unit_test(a_team_has_the_requested_seats),         cmocka_unit_test(workers_of_the_pool_help),
        cmocka_unit_test(helpers_do_not_wait_for_long),           cmocka_unit_test(small_jobs_run_without_helpers),
        cmocka_unit_test(helpers_are_not_used_after_a_long_wait), cmocka_unit_test(helpers_are_used_for_unequal_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
