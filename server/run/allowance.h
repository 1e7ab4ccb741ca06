/* The CPUs and the memory that this process may use, the limits that apply, and the shares of requests and sessions. */
#ifndef SERVER_RUN_ALLOWANCE_H
#define SERVER_RUN_ALLOWANCE_H

#include <stddef.h>
#include <stdint.h>

struct memory;
struct services;
struct settings;

struct allowance {
    size_t cpus;
    uint64_t bytes;                     /* of memory */
    const char *cpus_from, *bytes_from; /* "cgroup v2 memory.max" */
    /* once it is settled */
    uint64_t program_bytes; /* what the process takes beside its models */
    double fits;            /* how much there is of what requests and sessions may hold, 1 at most */
};

/* CPUs as cpus_allowed says; memory: the least of the cgroup's limit, RLIMIT_AS and RLIMIT_DATA (less what the program and
   so many threads take of them), and the machine's memory. workers: 0 stands for one a CPU. root: as for cgroup_least. */
struct allowance allowance_find(const char *root, size_t workers);

/* Lower what the settings leave to their defaults to shares of the memory: a quarter for requests, a quarter for sessions,
   a sixteenth for one body; the rest is for models and the program itself. Once, before threads start; tells malloc. */
void allowance_share(const struct allowance *allowance, struct settings *settings);

/* When models are loaded, or have taken the place of others: less for requests and sessions where the models leave less
   than both may hold, and as before where they leave enough again. The log says what there is, at first and when it changes.
   One thread at a time. */
void allowance_settle(struct allowance *allowance, const struct services *services);

/* Give freed memory back to the system now. */
void allowance_give_back(void);

/* Often, by one thread: the same after requests and sessions that held much of it. */
void allowance_trim(const struct memory *memory, size_t session_bytes, int64_t now_ns);

#endif
