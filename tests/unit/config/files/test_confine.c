#include "config/files/confine.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <sched.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { SANITIZED = 1 };
#else
enum { SANITIZED = 0 };
#endif

enum { REFUSED = 3, WENT_THROUGH = 4, NOT_CONFINED = 5 };

/* Runs the probe in a confined process. Returns its exit code, or 128 + the signal that ended it. */
static int confined(void (*probe)(void))
{
    pid_t pid = fork();
    if (!pid) {
        char missing[64];
        const struct confine_limits limits = {.memory_bytes = (size_t)1 << 33, .file_bytes = 1 << 20, .cpu_seconds = 5};
        confine(&limits, missing, sizeof missing);
        if (strstr(missing, "seccomp"))
            _exit(NOT_CONFINED);
        probe();
        _exit(WENT_THROUGH);
    }
    int status = 0;
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static void open_file(void)
{
    if (open("/etc/passwd", O_RDONLY) < 0)
        _exit(REFUSED);
}

static void create_file(void)
{
    if (open("/tmp/cellserve-probe", O_CREAT | O_WRONLY, 0600) < 0)
        _exit(REFUSED);
}

static void open_by_openat2(void)
{
    const unsigned long long how[3] = {0};
    syscall(SYS_openat2, -100, "/etc/passwd", how, sizeof how);
}

static void connect_somewhere(void)
{
    socket(AF_INET, SOCK_STREAM, 0);
}

static void run_a_program(void)
{
    execl("/bin/true", "true", (char *)NULL);
}

static void start_a_process(void)
{
    fork();
}

static void start_a_thread(void)
{
    syscall(SYS_clone, 0x10f00, NULL, NULL, NULL, 0);
}

static void signal_another(void)
{
    kill(getppid(), 0);
}

static void work_in_memory(void)
{
    char *p = calloc(1 << 22, 1);
    p[1 << 20] = 1;
    free(p);
}

static void other_system_calls_end_the_process(void **state)
{
    (void)state;
    static void (*const fatal[])(void) = {open_by_openat2, connect_somewhere, run_a_program,
                                          start_a_process, start_a_thread,    signal_another};
    if (SANITIZED || confined(work_in_memory) == NOT_CONFINED) /* sanitizers' own system calls are not on the list */
        skip();
    assert_int_equal(confined(open_file), REFUSED);
    assert_int_equal(confined(create_file), REFUSED);
    for (size_t i = 0; i < sizeof fatal / sizeof *fatal; i++)
        assert_int_equal(confined(fatal[i]), 128 + SIGSYS);
}

static void allocations_are_allowed(void **state)
{
    (void)state;
    int end = confined(work_in_memory);
    assert_true(end == WENT_THROUGH || end == NOT_CONFINED);
}

/* Confines a process that shares the memory of the test, so that the test can read `missing`. */
static char missing[64];

static int confine_here(void *argument)
{
    const struct confine_limits limits = {.memory_bytes = (size_t)1 << 33, .file_bytes = 1 << 20, .cpu_seconds = 5};
    (void)argument;
    confine(&limits, missing, sizeof missing);
    return 0;
}

static void missing_kernel_features_are_reported(void **state)
{
    (void)state;
    enum { STACK = 1 << 18 };
    if (SANITIZED)
        skip();
    char *stack = malloc(STACK);
    int status = 0;
    bool landlock = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
    memset(missing, 'x', sizeof missing - 1);
    pid_t pid = clone(confine_here, stack + STACK, CLONE_VM | SIGCHLD, NULL);
    assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
    assert_int_equal(strstr(missing, "landlock") == NULL, landlock);
    if (landlock && !strstr(missing, "seccomp"))
        assert_string_equal(missing, "");
    free(stack);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(allocations_are_allowed),
                                       cmocka_unit_test(other_system_calls_end_the_process),
                                       cmocka_unit_test(missing_kernel_features_are_reported)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
