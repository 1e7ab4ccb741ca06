/* What threads ask of the kernel's scheduler. Each test changes a thread of its own. */
#include "server/base/cpus.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

enum { LEAST_PRIORITY = 19 };

struct scheduling {
    int policy, before, after; /* nice values */
    void (*change)(void);
};

static void *change_scheduling(void *argument)
{
    struct scheduling *s = argument;
    const struct sched_param none = {.sched_priority = 0};
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + 3);
    s->before = getpriority(PRIO_PROCESS, 0);
    sched_setscheduler(0, s->policy, &none);
    s->change();
    s->policy = sched_getscheduler(0);
    s->after = getpriority(PRIO_PROCESS, 0);
    return NULL;
}

static struct scheduling after(void (*change)(void), int policy)
{
    struct scheduling s = {.policy = policy, .change = change};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, change_scheduling, &s), 0);
    pthread_join(thread, NULL);
    return s;
}

static void short_slices_keep_the_nice_value(void **state)
{
    (void)state;
    struct scheduling s = after(cpus_wake_soon, SCHED_OTHER);
    assert_int_equal(s.after, s.before);
    assert_int_equal(s.policy, SCHED_OTHER);
}

static void short_slices_keep_the_policy(void **state)
{
    (void)state;
    struct scheduling s = after(cpus_wake_soon, SCHED_BATCH);
    assert_int_equal(s.policy, SCHED_BATCH);
    assert_int_equal(s.after, s.before);
}

/* Workers yield to the process's own other threads, whatever nice value the process has. */
static void computing_is_two_steps_below_the_process(void **state)
{
    (void)state;
    struct scheduling s = after(cpus_compute, SCHED_OTHER);
    int two_below = s.before + 2;
    assert_int_equal(s.after, two_below < LEAST_PRIORITY ? two_below : LEAST_PRIORITY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_slices_keep_the_nice_value),
        cmocka_unit_test(short_slices_keep_the_policy),
        cmocka_unit_test(computing_is_two_steps_below_the_process),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
