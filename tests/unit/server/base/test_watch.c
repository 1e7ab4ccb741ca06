/* Files of keys and certificates that change. */
#include "server/base/watch.h"
#include "tests/unit/unit.h"

#include <sched.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static void count(void *cls)
{
    atomic_fetch_add((atomic_int *)cls, 1);
}

/* Reading a pipe a second time could take for ever. Groups are called in their order. */
static void a_pipe_is_not_read_again(void **state)
{
    (void)state;
    char pipe_path[64];
    atomic_int pipes = 0, files = 0;
    const char *file = unit_file(".watched", "text", 4);
    snprintf(pipe_path, sizeof pipe_path, "/tmp/cellserve-test-%d.pipe", (int)getpid());
    assert_int_equal(mkfifo(pipe_path, 0600), 0);
    struct watch *watch = watch_new();
    assert_non_null(watch);
    watch_files(watch, (const char *const[WATCH_PATHS]){file, pipe_path}, count, &pipes);
    watch_files(watch, (const char *const[WATCH_PATHS]){file, "/nowhere"}, count, &files);
    assert_true(watch_start(watch));
    for (int i = 1; i <= 3; i++) {
        watch_now(watch);
        for (time_t end = time(NULL) + 60; atomic_load(&files) < i && time(NULL) < end;)
            sched_yield();
    }
    assert_int_equal(atomic_load(&files), 3);
    assert_int_equal(atomic_load(&pipes), 0);
    watch_stop(watch);
    unlink(pipe_path);
    unlink(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_pipe_is_not_read_again)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
