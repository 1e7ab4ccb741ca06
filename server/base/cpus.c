/* CPUs by affinity and cgroup quota: a container with a quota of 2 on a 64-core node gets 2 workers, not 64. */
#include "cpus.h"

#include "cgroup.h"

#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

size_t cpus_of_quota(const char *cpu_max)
{
    char *end;
    long long quota = strtoll(cpu_max, &end, 10);
    long long period = end != cpu_max ? strtoll(end, NULL, 10) : 0;
    return quota > 0 && period > 0 ? (size_t)((quota + period - 1) / period) : 0;
}

static uint64_t quota_v2(const char *folder)
{
    char text[64];
    return cgroup_read(folder, "cpu.max", text, sizeof text) ? cpus_of_quota(text) : 0;
}

static uint64_t quota_v1(const char *folder)
{
    char quota[32], period[32], both[80];
    if (!cgroup_read(folder, "cpu.cfs_quota_us", quota, sizeof quota) ||
        !cgroup_read(folder, "cpu.cfs_period_us", period, sizeof period))
        return 0;
    snprintf(both, sizeof both, "%s %s", quota, period);
    return cpus_of_quota(both);
}

size_t cpus_allowed(const char *root, const char **from)
{
    cpu_set_t set;
    size_t n = 1, quota;
    *from = "affinity";
    if (!sched_getaffinity(0, sizeof set, &set))
        n = (size_t)CPU_COUNT(&set);
    if ((quota = cgroup_least(root, NULL, quota_v2)) && quota < n) {
        n = quota;
        *from = "cgroup v2 cpu.max";
    }
    if ((quota = cgroup_least(root, "cpu", quota_v1)) && quota < n) {
        n = quota;
        *from = "cgroup v1 cpu.cfs_quota_us";
    }
    return n ? n : 1;
}

size_t cpus_available(void)
{
    const char *from;
    return cpus_allowed("", &from);
}

/* Source: proc_loadavg(5), the fourth field. */
size_t cpus_runnable(const char *loadavg)
{
    unsigned long runnable;
    return sscanf(loadavg, "%*s %*s %*s %lu/", &runnable) == 1 ? runnable : 0;
}

bool cpus_all_wanted(void)
{
    char text[128];
    long online = sysconf(_SC_NPROCESSORS_ONLN);
    return cgroup_read("/proc", "loadavg", text, sizeof text) && online > 0 && cpus_runnable(text) >= (size_t)online;
}

void cpus_bind(size_t i)
{
    cpu_set_t all, one;
    if (sched_getaffinity(0, sizeof all, &all))
        return;
    i %= (size_t)CPU_COUNT(&all);
    for (size_t cpu = 0; cpu < CPU_SETSIZE; cpu++)
        if (CPU_ISSET(cpu, &all) && i-- == 0) {
            CPU_ZERO(&one);
            CPU_SET(cpu, &one);
            sched_setaffinity(0, sizeof one, &one);
            return;
        }
}

/* Source: sched_setattr(2), struct sched_attr; sched_runtime of SCHED_OTHER is the length of a slice. Policy and nice value
   stay as they are, and a thread of another policy has no slice. */
void cpus_wake_soon(void)
{
    enum { SLICE_NS = 100000 };
    struct {
        uint32_t size, policy;
        uint64_t flags;
        int32_t nice;
        uint32_t priority;
        uint64_t runtime_ns, deadline_ns, period_ns;
    } attributes = {.size = sizeof attributes};
    if (syscall(SYS_sched_getattr, 0, &attributes, sizeof attributes, 0) || attributes.policy != SCHED_OTHER)
        return;
    attributes.runtime_ns = SLICE_NS;
    syscall(SYS_sched_setattr, 0, &attributes, 0);
}

/* In Linux each thread has its own priority. Two steps are a weight of 0.64: see bench/results.md. */
void cpus_compute(void)
{
    enum { STEPS = 2 };
    setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + STEPS); /* 0: the calling thread */
}
