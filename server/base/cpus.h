/* How many CPUs this process may use. */
#ifndef SERVER_BASE_CPUS_H
#define SERVER_BASE_CPUS_H

#include <stdbool.h>
#include <stddef.h>

/* CPUs by affinity mask and by the cgroup's CFS quota (v2 cpu.max or v1 cpu.cfs_quota_us, rounded up); at least 1. */
size_t cpus_available(void);

/* The same, with the name of the limit: "affinity", "cgroup v2 cpu.max". root: as for cgroup_least. */
size_t cpus_allowed(const char *root, const char **from);

/* The quota alone, from the text of a cgroup v2 cpu.max file ("150000 100000"); 0: no limit. */
size_t cpus_of_quota(const char *cpu_max);

/* Whether threads, including the caller, want every CPU of this system at this moment. Returns false if this is
   unknown. */
bool cpus_all_wanted(void);

/* The number of runnable threads, from the text of /proc/loadavg ("0.20 0.18 0.12 1/80 11206"); 0: unknown. */
size_t cpus_runnable(const char *loadavg);

/* Bind the calling thread to the i-th CPU of its affinity mask. */
void cpus_bind(size_t i);

/* Lower the priority of the calling thread, which computes: other threads of the process get a CPU first, and this
   thread gets most of the remaining time. */
void cpus_compute(void);

/* Request short time slices for the calling thread. Then it gets a CPU sooner after it wakes, but not more CPU time.
   Linux before 6.12 ignores the request. */
void cpus_wake_soon(void);

#endif
