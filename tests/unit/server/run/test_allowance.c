/* Limits of CPUs and memory from cgroups, read from a folder with the files of a container. */
#include "tests/unit/unit.h"

#include "config/settings.h"
#include "server/base/cpus.h"
#include "server/run/allowance.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char root[64];

/* Write a file below the root, and create its folders. */
static void put(const char *path, const char *text)
{
    char full[256];
    snprintf(full, sizeof full, "%s%s", root, path);
    for (char *slash = strchr(full + strlen(root) + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = 0;
        mkdir(full, 0755);
        *slash = '/';
    }
    FILE *file = fopen(full, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_root(void **state)
{
    (void)state;
    strcpy(root, "/tmp/cellserve-test-root-XXXXXX");
    return mkdtemp(root) ? 0 : -1;
}

static int remove_root(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf %s", root);
    return system(command);
}

static void assert_memory(uint64_t bytes, const char *from)
{
    struct allowance found = allowance_find(root, 2);
    assert_int_equal(found.bytes, bytes);
    assert_string_equal(found.bytes_from, from);
}

static void the_least_limit_of_version_2_counts(void **state)
{
    (void)state;
    struct allowance machine = allowance_find(root, 2); /* no files */
    assert_true(machine.bytes > 0 && machine.cpus >= 1);
    assert_string_equal(machine.bytes_from, "the machine's");
    put("/proc/self/cgroup", "0::/pod/one\n");
    put("/sys/fs/cgroup/pod/one/memory.max", "max\n");
    assert_memory(machine.bytes, "the machine's");
    put("/sys/fs/cgroup/pod/memory.max", "67108864\n");
    assert_memory(64 << 20, "cgroup v2 memory.max");
    put("/sys/fs/cgroup/pod/one/memory.max", "33554432\n");
    assert_memory(32 << 20, "cgroup v2 memory.max");
    put("/sys/fs/cgroup/memory.max", "16777216\n"); /* in a container, the root of the mount has its limit */
    assert_memory(16 << 20, "cgroup v2 memory.max");
    put("/proc/self/cgroup", "0::/../elsewhere\n");
    assert_memory(16 << 20, "cgroup v2 memory.max");
    put("/sys/fs/cgroup/memory.max", "99999999999999\n"); /* more memory than the machine has */
    assert_memory(machine.bytes, "the machine's");
    put("/sys/fs/cgroup/memory.max", "garbage\n");
    assert_memory(machine.bytes, "the machine's");
}

static void version_1_is_seen_too(void **state)
{
    (void)state;
    struct allowance machine = allowance_find(root, 2);
    put("/proc/self/cgroup", "9:name=systemd:/\n5:cpu,cpuacct:/docker/x\n4:memory:/docker/x\n0::/\n");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
    assert_memory(machine.bytes, "the machine's");
    put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "134217728\n"); /* mounted at the cgroup of the container */
    assert_memory(128 << 20, "cgroup v1 memory.limit_in_bytes");
    put("/sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes", "67108864\n");
    assert_memory(64 << 20, "cgroup v1 memory.limit_in_bytes");
    put("/sys/fs/cgroup/unified/memory.max", "33554432\n"); /* both versions */
    assert_memory(32 << 20, "cgroup v2 memory.max");
    put("/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us", "100000\n");
    put("/sys/fs/cgroup/cpu/docker/x/cpu.cfs_period_us", "100000\n");
    const char *from;
    assert_int_equal(cpus_allowed(root, &from), 1);
    assert_string_equal(from, machine.cpus > 1 ? "cgroup v1 cpu.cfs_quota_us" : "affinity");
}

static void limits_of_the_shell_count(void **state)
{
    (void)state;
    struct rlimit before, limit;
    getrlimit(RLIMIT_DATA, &before);
    limit = (struct rlimit){512 << 20, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_DATA, &limit), 0);
    struct allowance found = allowance_find(root, 2);
    setrlimit(RLIMIT_DATA, &before);
    assert_string_equal(found.bytes_from, "what RLIMIT_DATA leaves");
    assert_true(found.bytes < 432 << 20); /* less stacks of ten threads and the memory in use */
}

static void defaults_are_shares_and_what_was_given_stays(void **state)
{
    (void)state;
    struct problems problems = {0};
    struct settings settings;
    settings_init(&settings);
    allowance_share(&(struct allowance){.bytes = UINT64_C(64) << 30}, &settings);
    assert_int_equal(settings.max_inflight_bytes, 1 << 30);
    assert_int_equal(settings.session_max_bytes, 1 << 30);
    assert_int_equal(settings.max_body_bytes, 64 << 20);
    assert_int_equal(settings.max_connections, 1024);
    settings_set(&settings, settings_flag("--sessions-max-bytes"), "50000000", "", &problems);
    const struct allowance small = {.bytes = 64 << 20};
    allowance_share(&small, &settings);
    assert_int_equal(settings.max_inflight_bytes, 16 << 20);
    assert_int_equal(settings.session_max_bytes, 50000000);
    assert_true(settings_given(&settings, &settings.session_max_bytes));
    assert_false(settings_given(&settings, &settings.max_inflight_bytes));
    assert_int_equal(settings.max_body_bytes, 4 << 20);
    assert_int_equal(settings.max_connections, 204);
    allowance_share(&(struct allowance){.bytes = 1}, &settings); /* not below the minimum of the settings */
    assert_int_equal(settings.max_inflight_bytes, 1024);
    assert_int_equal(settings.max_connections, 1);
    settings_close(&settings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_least_limit_of_version_2_counts, make_root, remove_root),
        cmocka_unit_test_setup_teardown(version_1_is_seen_too, make_root, remove_root),
        cmocka_unit_test_setup_teardown(limits_of_the_shell_count, make_root, remove_root),
        cmocka_unit_test(defaults_are_shares_and_what_was_given_stays)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
