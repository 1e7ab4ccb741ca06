/* Sets limits, then Landlock (no access to the file system), then seccomp (a short list of system calls). */
#include "confine.h"

#include <errno.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Sanitizers' shadow memory needs terabytes of address space, and system calls of its own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
static const bool sanitized = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif
#else
static const bool sanitized = false;
#endif

static void limit(int resource, rlim_t value)
{
    const struct rlimit both = {value, value};
    setrlimit((__rlimit_resource_t)resource, &both);
}

/* Handle every right that this kernel's Landlock knows, without any rule that grants a right. */
static bool no_file_system(void)
{
    struct landlock_ruleset_attr all = {.handled_access_fs = 0};
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
    if (abi < 1)
        return false;
    all.handled_access_fs = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1;
#ifdef LANDLOCK_ACCESS_FS_REFER
    if (abi >= 2)
        all.handled_access_fs |= LANDLOCK_ACCESS_FS_REFER;
#endif
    int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    bool good = rules >= 0 && !syscall(SYS_landlock_restrict_self, rules, 0);
    if (rules >= 0)
        close(rules);
    return good;
}

/* The system calls that a parser over mapped memory needs. Opening a file fails. Any other call ends the process. */
static bool few_system_calls(void)
{
    static const int plain[] = {
        SCMP_SYS(read),          SCMP_SYS(write),          SCMP_SYS(lseek),   SCMP_SYS(ftruncate), SCMP_SYS(munmap),
        SCMP_SYS(mremap),        SCMP_SYS(madvise),        SCMP_SYS(brk),     SCMP_SYS(futex),     SCMP_SYS(getrandom),
        SCMP_SYS(clock_gettime), SCMP_SYS(gettimeofday),   SCMP_SYS(sysinfo), SCMP_SYS(getpid),    SCMP_SYS(gettid),
        SCMP_SYS(rt_sigreturn),  SCMP_SYS(rt_sigprocmask), SCMP_SYS(exit),    SCMP_SYS(exit_group)};
    static const int refused[] = {SCMP_SYS(open),       SCMP_SYS(openat), SCMP_SYS(stat),    SCMP_SYS(lstat),
                                  SCMP_SYS(newfstatat), SCMP_SYS(getcwd), SCMP_SYS(readlink)};
    const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
    scmp_filter_ctx filter = seccomp_init(SCMP_ACT_KILL_PROCESS);
    bool good = filter != NULL;
    for (size_t i = 0; good && i < sizeof plain / sizeof *plain; i++)
        good = !seccomp_rule_add(filter, SCMP_ACT_ALLOW, plain[i], 0);
    /* HDF5 asks for a file of the image's name, to see that there is none, and for its folder; libzip for the time zone. */
    for (size_t i = 0; good && i < sizeof refused / sizeof *refused; i++)
        good = !seccomp_rule_add(filter, SCMP_ACT_ERRNO(EACCES), refused[i], 0);
    good = good && !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable) &&
           !seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable) && !seccomp_load(filter);
    seccomp_release(filter);
    return good;
}

void confine(const struct confine_limits *limits, char *missing, size_t size)
{
    bool seccomp = sanitized;
    limit(RLIMIT_CORE, 0);
    limit(RLIMIT_NPROC, 0);
    const struct rlimit cpu = {limits->cpu_seconds, limits->cpu_seconds + 1}; /* SIGXCPU comes first: it names the
                                                                                 cause */
    setrlimit(RLIMIT_CPU, &cpu);
    limit(RLIMIT_FSIZE, limits->file_bytes);
    prctl(PR_SET_DUMPABLE, 0);
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    bool landlock = no_file_system();
    if (!sanitized) {
        limit(RLIMIT_AS, limits->memory_bytes);
        seccomp = few_system_calls();
    }
    snprintf(missing, size, "%s%s%s", landlock ? "" : "landlock", landlock || seccomp ? "" : ", ",
             seccomp ? "" : "seccomp");
}
