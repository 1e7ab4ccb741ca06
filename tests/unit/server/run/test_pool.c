/* pool.c and cpus.c */
#include "server/base/clock.h"
#include "server/base/cpus.h"
#include "server/run/pool.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

struct job {
    struct task task;
    atomic_int ran;
    int expired;
};

static atomic_int gate, running;

static void nap(void)
{
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void run_job(struct task *task, struct worker *worker)
{
    struct job *job = (struct job *)task;
    arena_reset(&worker->arena);
    memset(arena_alloc(&worker->arena, 100, 1), 1, 100);
    running++;
    while (gate)
        nap();
    job->ran++;
    pool_done(worker);
}

static void expire_job(struct task *task)
{
    ((struct job *)task)->expired++;
}

static void every_task_runs_once(void **state)
{
    (void)state;
    enum { N = 1000 };
    static struct job jobs[N];
    struct pool pool;
    assert_true(pool_start(&pool, 3, false, N, 4096));
    for (int i = 0; i < N; i++) {
        jobs[i] = (struct job){.task = {.run = run_job, .expire = expire_job, .deadline_ns = INT64_MAX}};
        assert_true(pool_try_add(&pool, &jobs[i].task));
    }
    pool_stop(&pool);
    for (int i = 0; i < N; i++)
        assert_true(jobs[i].ran == 1 && !jobs[i].expired);
}

static void a_full_queue_refuses_and_deadlines_expire(void **state)
{
    (void)state;
    struct pool pool;
    struct job jobs[4];
    size_t queued, busy;
    gate = 1;
    running = 0;
    assert_true(pool_start(&pool, 1, true, 2, 4096));
    for (int i = 0; i < 4; i++)
        jobs[i] = (struct job){.task = {.run = run_job, .expire = expire_job, .deadline_ns = i == 1 ? 5 : 10}};
    assert_true(pool_try_add(&pool, &jobs[0].task));
    while (!running)
        nap();
    assert_true(pool_try_add(&pool, &jobs[1].task));
    assert_true(pool_try_add(&pool, &jobs[2].task));
    assert_false(pool_try_add(&pool, &jobs[3].task));
    pool_load(&pool, &queued, &busy);
    assert_int_equal(queued, 2);
    assert_int_equal(busy, 1);
    pool_expire(&pool, 7, false);
    assert_true(jobs[1].expired == 1 && !jobs[2].expired);
    assert_true(pool_try_add(&pool, &jobs[3].task)); /* a task has expired, so there is room again */
    pool_expire(&pool, 0, true);
    assert_true(jobs[2].expired == 1 && jobs[3].expired == 1);
    gate = 0;
    pool_stop(&pool);
    assert_true(jobs[0].ran == 1 && !jobs[1].ran && !jobs[2].ran && !jobs[3].ran);
}

/* Tasks that run in slices wait in a separate line, which does not fill the queue. A worker takes from each line as
   many tasks as it has room for. */
static void lines_are_apart(void **state)
{
    (void)state;
    struct pool pool;
    struct job jobs[9];
    size_t queued, busy, waiting[POOL_LINES];
    struct worker other = {.pool = &pool};
    gate = 1;
    running = 0;
    assert_true(pool_start(&pool, 1, false, 3, 4096));
    for (int i = 0; i < 9; i++)
        jobs[i] = (struct job){.task = {.run = run_job, .expire = expire_job, .deadline_ns = i == 4 ? 5 : 10}};
    assert_true(pool_try_add(&pool, &jobs[0].task));
    while (!running)
        nap();
    for (int i = 1; i < 6; i++)
        pool_add_again(&pool, &jobs[i].task, POOL_SLICED);
    for (int i = 6; i < 9; i++)
        assert_true(pool_try_add(&pool, &jobs[i].task));
    pool_load(&pool, &queued, &busy);
    assert_int_equal(queued, 3);
    struct task *taken = pool_take(&other, (const size_t[POOL_LINES]){2, 1}, waiting, 0);
    assert_ptr_equal(taken, &jobs[6].task);
    assert_ptr_equal(taken->next, &jobs[7].task);
    assert_ptr_equal(taken->next->next, &jobs[1].task);
    assert_null(taken->next->next->next);
    assert_int_equal(waiting[POOL_QUEUE], 1);
    assert_int_equal(waiting[POOL_SLICED], 4);
    assert_null(pool_take(&other, (const size_t[POOL_LINES]){0, 0}, waiting, 0));
    pool_expire(&pool, 7, false);
    assert_true(jobs[4].expired == 1 && !jobs[5].expired);
    gate = 0;
    pool_stop(&pool); /* runs the remaining tasks of both lines */
    assert_true(jobs[8].ran == 1 && jobs[2].ran == 1 && jobs[3].ran == 1 && jobs[5].ran == 1 && !jobs[4].ran);
}

/* Until idle_until_ns a long task is left to a worker without other tasks. */
static void long_tasks_are_left_to_idle_workers(void **state)
{
    (void)state;
    struct pool pool;
    struct job jobs[4];
    size_t waiting[POOL_LINES];
    const size_t most[POOL_LINES] = {9, 9};
    struct worker other = {.pool = &pool};
    gate = 1;
    running = 0;
    assert_true(pool_start(&pool, 1, false, 9, 4096));
    for (int i = 0; i < 4; i++) {
        jobs[i] = (struct job){.task = {.run = run_job, .deadline_ns = 100, .idle_until_ns = i % 2 ? 10 : 0}};
        assert_true(pool_try_add(&pool, &jobs[i].task));
        while (!running)
            nap();
    }
    struct task *taken = pool_take(&other, most, waiting, 5);
    assert_ptr_equal(taken, &jobs[2].task);
    assert_null(taken->next);
    assert_int_equal(waiting[POOL_QUEUE], 2);
    assert_null(pool_take(&other, most, waiting, 9));
    assert_true(pool_try_add(&pool, &jobs[0].task)); /* last in its line */
    taken = pool_take(&other, (const size_t[POOL_LINES]){1, 0}, waiting, 10);
    assert_ptr_equal(taken, &jobs[1].task);
    gate = 0;
    pool_stop(&pool); /* the pool's worker, which has no other tasks, runs the rest */
    assert_true(jobs[3].ran == 1 && jobs[0].ran == 2);
}

/* ---- many workers: their tasks sleep, so that more of them run than there are CPUs ---- */

enum { MANY = 64, SENDERS = 4, TASKS = 1600 }; /* TASKS: for each sender */

static struct sleeper {
    struct task task;
    int64_t queued_ns, waited_ns;
    size_t worker;
} sleepers[SENDERS][TASKS];
static struct pool many;
static atomic_size_t refused;

static void sleep_a_while(struct task *task, struct worker *worker)
{
    struct sleeper *sleeper = (struct sleeper *)task;
    sleeper->waited_ns = clock_ns() - sleeper->queued_ns;
    sleeper->worker = worker->index;
    for (int i = 0; i < 4; i++)
        nap();
    pool_done(worker);
}

/* If the queue is full, the sender waits for room. */
static void *send_tasks(void *argument)
{
    struct sleeper *own = argument;
    for (int i = 0; i < TASKS; i++) {
        own[i] = (struct sleeper){.task = {.run = sleep_a_while, .deadline_ns = INT64_MAX}};
        own[i].queued_ns = clock_ns();
        while (!pool_try_add(&many, &own[i].task)) {
            refused++;
            nap();
            own[i].queued_ns = clock_ns();
        }
    }
    return NULL;
}

/* Measures how long the machine keeps a thread that only naps. */
static struct witness {
    atomic_bool over;
    int64_t longest_ns;
} witness;

static void *nap_on(void *argument)
{
    (void)argument;
    for (int64_t before = clock_ns(), now; !witness.over; before = now) {
        nap();
        now = clock_ns();
        witness.longest_ns = now - before > witness.longest_ns ? now - before : witness.longest_ns;
    }
    return NULL;
}

/* Whether all have work, and no task waits much longer than those before it in the queue take. */
static bool share_fairly(void)
{
    enum { QUEUE = 256 };
    pthread_t senders[SENDERS], napper;
    size_t of_worker[MANY] = {0};
    bool fair = true;
    refused = 0;
    witness.over = false;
    witness.longest_ns = 0;
    assert_int_equal(pthread_create(&napper, NULL, nap_on, NULL), 0);
    assert_true(pool_start(&many, MANY, false, QUEUE, 4096));
    int64_t began = clock_ns();
    for (int i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&senders[i], NULL, send_tasks, sleepers[i]), 0);
    for (int i = 0; i < SENDERS; i++)
        pthread_join(senders[i], NULL);
    pool_stop(&many);
    int64_t took = clock_ns() - began, longest = 0;
    witness.over = true;
    pthread_join(napper, NULL);
    for (int s = 0; s < SENDERS; s++)
        for (int i = 0; i < TASKS; i++) {
            of_worker[sleepers[s][i].worker]++;
            longest = sleepers[s][i].waited_ns > longest ? sleepers[s][i].waited_ns : longest;
        }
    for (int i = 0; i < MANY; i++)
        fair &= of_worker[i] >= SENDERS * TASKS / MANY / 2 && of_worker[i] <= SENDERS * TASKS / MANY * 2;
    fair &= refused > 0; /* the queue was full, and stayed bounded */
    /* a full queue has QUEUE / MANY tasks for each worker, which runs TASKS * SENDERS / MANY in all */
    return fair && longest < took * QUEUE / (SENDERS * TASKS) * 4 + 20 * (int64_t)NS_PER_MS + 4 * witness.longest_ns;
}

/* A loaded machine may make a task wait, an unfair pool does each time. */
static void sixty_four_workers_share_fairly(void **state)
{
    (void)state;
    bool fair = false;
    for (int i = 0; i < 10 && !fair; i++)
        fair = share_fairly();
    assert_true(fair);
}

/* How often another worker than before runs the next task. */
static size_t change_workers(int tasks)
{
    size_t changes = 0, last = 0;
    assert_true(pool_start(&many, 8, false, (size_t)tasks, 4096));
    for (int i = 0; i < tasks; i++) {
        struct sleeper *s = &sleepers[0][i];
        *s = (struct sleeper){.task = {.run = sleep_a_while, .deadline_ns = INT64_MAX}, .queued_ns = clock_ns()};
        assert_true(pool_try_add(&many, &s->task));
        size_t queued, busy = 1;
        while (busy) {
            nap();
            pool_load(&many, &queued, &busy);
            busy += queued;
        }
        nap(); /* the worker falls asleep */
        changes += i && s->worker != last;
        last = s->worker;
    }
    pool_stop(&many);
    return changes;
}

/* The lowest worker that sleeps runs the next task: one client keeps one worker's caches warm. On a loaded machine a worker
   may not fall asleep in time. */
static void one_task_at_a_time_stays_with_one_worker(void **state)
{
    (void)state;
    enum { N = 200 };
    size_t changes = N;
    for (int i = 0; i < 10 && changes >= N / 4; i++)
        changes = change_workers(N);
    assert_true(changes < N / 4);
}

/* If a worker is about to look for tasks, one new task is left to it; a second task wakes another worker. */
static void a_worker_that_looks_soon_gets_the_task(void **state)
{
    (void)state;
    struct pool pool;
    struct job jobs[2];
    struct worker ending = {.pool = &pool};
    size_t waiting[POOL_LINES];
    const size_t most[POOL_LINES] = {9, 9};
    gate = 0;
    running = 0;
    assert_true(pool_start(&pool, 1, false, 9, 4096));
    for (int i = 0; i < 2; i++)
        jobs[i] = (struct job){.task = {.run = run_job, .deadline_ns = INT64_MAX}};
    while (!pool.idle[0])
        nap();
    for (int i = 0; i < 50; i++)
        nap(); /* the worker falls asleep */
    pool_will_look(&ending);
    assert_true(pool_try_add(&pool, &jobs[0].task));
    for (int i = 0; i < 20; i++)
        nap();
    assert_int_equal(running, 0);
    assert_ptr_equal(pool_take(&ending, most, waiting, 0), &jobs[0].task);
    assert_int_equal(pool.looking, 0);
    pool_will_look(&ending);
    pool_will_look(&ending); /* it may end several requests before it looks, which counts once */
    assert_int_equal(pool.looking, 1);
    assert_true(pool_try_add(&pool, &jobs[0].task));
    assert_true(pool_try_add(&pool, &jobs[1].task));
    for (int i = 0; i < 60000 && running < 2; i++)
        nap();
    assert_int_equal(running, 2);
    pool_stop(&pool);
}

static atomic_bool fed;

/* While `fed` is true the task is queued again, so that its worker always has tasks. */
static void run_and_return(struct task *task, struct worker *worker)
{
    struct job *job = (struct job *)task;
    struct pool *pool = worker->pool;
    job->ran++;
    nap();
    pool_done(worker);
    if (fed)
        pool_add_again(pool, task, POOL_QUEUE);
}

/* One of two workers is stuck in a long task, and other tasks wait for it. The other worker always has tasks of its
   own, and takes these tasks too. */
static void tasks_of_a_stuck_worker_do_not_wait_for_it(void **state)
{
    (void)state;
    enum { FED = 4, WAITING = 4 };
    struct pool pool;
    struct job stuck = {.task = {.run = run_job, .deadline_ns = INT64_MAX}}, fed_jobs[FED], waiting[WAITING];
    gate = 1;
    fed = true;
    running = 0;
    assert_true(pool_start(&pool, 2, false, 99, 4096));
    assert_true(pool_try_add(&pool, &stuck.task));
    while (!running)
        nap();
    for (int i = 0; i < FED; i++) {
        fed_jobs[i] = (struct job){.task = {.run = run_and_return, .deadline_ns = INT64_MAX}};
        assert_true(pool_try_add(&pool, &fed_jobs[i].task));
    }
    for (int i = 0; i < WAITING; i++) {
        waiting[i] = (struct job){.task = {.run = run_and_return, .deadline_ns = INT64_MAX}};
        assert_true(pool_try_add(&pool, &waiting[i].task)); /* some go to the line of the stuck worker */
    }
    for (int i = 0; i < 60000 && !(waiting[0].ran && waiting[1].ran && waiting[2].ran && waiting[3].ran); i++)
        nap();
    for (int i = 0; i < WAITING; i++)
        assert_true(waiting[i].ran > 0);
    assert_int_equal(stuck.ran, 0);
    fed = false;
    gate = 0;
    pool_stop(&pool);
    assert_int_equal(stuck.ran, 1);
}

/* A batch of a busy worker also takes tasks that wait for other workers, but no more than its share. */
static void a_busy_worker_takes_its_share_of_all_lines(void **state)
{
    (void)state;
    enum { N = 12 };
    struct pool pool;
    struct job stuck[2], jobs[N];
    const size_t most[POOL_LINES] = {99, 99};
    size_t waiting[POOL_LINES], queued, busy;
    gate = 1;
    running = 0;
    assert_true(pool_start(&pool, 2, false, 99, 4096));
    for (int i = 0; i < 2; i++) {
        stuck[i] = (struct job){.task = {.run = run_job, .deadline_ns = INT64_MAX}};
        assert_true(pool_try_add(&pool, &stuck[i].task));
        while (running <= i)
            nap();
    }
    for (int i = 0; i < N; i++) {
        jobs[i] = (struct job){.task = {.run = run_job, .deadline_ns = INT64_MAX}};
        assert_true(pool_try_add(&pool, &jobs[i].task));
    }
    assert_int_equal(pool.workers[0].lines[POOL_QUEUE].n, N / 2); /* half of them for each */
    assert_int_equal(pool.workers[1].lines[POOL_QUEUE].n, N / 2);
    struct worker other = {.pool = &pool}; /* a third worker, whose line is empty */
    size_t taken = 0;
    for (struct task *task = pool_take(&other, most, waiting, 0); task; task = task->next)
        taken++;
    assert_int_equal(taken, N / 2); /* all tasks, divided by the number of workers */
    assert_int_equal(waiting[POOL_QUEUE], N / 4);
    pool_load(&pool, &queued, &busy);
    assert_int_equal(queued, N / 2);
    assert_int_equal(busy, 2);
    gate = 0;
    pool_stop(&pool);
}

static void quotas_round_up(void **state)
{
    (void)state;
    assert_int_equal(cpus_of_quota("max 100000\n"), 0);
    assert_int_equal(cpus_of_quota("150000 100000\n"), 2);
    assert_int_equal(cpus_of_quota("50000 100000\n"), 1);
    assert_int_equal(cpus_of_quota("400000 100000\n"), 4);
    assert_int_equal(cpus_of_quota(""), 0);
    assert_int_equal(cpus_of_quota("-1 100000"), 0);
    assert_true(cpus_available() >= 1);
}

static void runnable_threads_are_counted(void **state)
{
    (void)state;
    assert_int_equal(cpus_runnable("0.20 0.18 0.12 1/80 11206\n"), 1);
    assert_int_equal(cpus_runnable("70.01 8.18 0.12 130/2080 11206\n"), 130);
    assert_int_equal(cpus_runnable("0.20 0.18\n"), 0);
    assert_int_equal(cpus_runnable("0.20 0.18 0.12 -\n"), 0);
    assert_int_equal(cpus_runnable(""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_worker_that_looks_soon_gets_the_task),
                                       cmocka_unit_test(sixty_four_workers_share_fairly),
                                       cmocka_unit_test(one_task_at_a_time_stays_with_one_worker),
                                       cmocka_unit_test(every_task_runs_once),
                                       cmocka_unit_test(tasks_of_a_stuck_worker_do_not_wait_for_it),
                                       cmocka_unit_test(a_busy_worker_takes_its_share_of_all_lines),
                                       cmocka_unit_test(a_full_queue_refuses_and_deadlines_expire),
                                       cmocka_unit_test(lines_are_apart),
                                       cmocka_unit_test(long_tasks_are_left_to_idle_workers),
                                       cmocka_unit_test(quotas_round_up),
                                       cmocka_unit_test(runnable_threads_are_counted)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
