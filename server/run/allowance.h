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
    /* set by allowance_settle */
    uint64_t program_bytes; /* the memory of the process without its models */
    double fits;            /* the part of the limits of requests and sessions for which there is memory, at most 1 */
};

/* CPUs: as cpus_allowed. Memory: the least of the cgroup's limit, the machine's memory, and RLIMIT_AS and RLIMIT_DATA without
   the memory of the program and its threads. workers: 0 means one for each CPU. root: as for cgroup_least. */
struct allowance allowance_find(const char *root, size_t workers);

/* Lower the settings that have their defaults to shares of the memory: a quarter for requests, a quarter for sessions, a
   sixteenth for one body. The rest is for models and the program itself. Also configures malloc. Call it once, before threads
   start. */
void allowance_share(const struct allowance *allowance, struct settings *settings);

/* Call it when models have been loaded or replaced. If the models leave too little memory for the limits of requests and
   sessions, the limits are lowered; if there is enough memory again, they are restored. The log has the memory at first, and
   when it changes. For one thread at a time. */
void allowance_settle(struct allowance *allowance, const struct services *services);

/* Return freed memory to the system now. */
void allowance_give_back(void);

/* One thread calls it often: returns freed memory after requests and sessions have released much of it. */
void allowance_trim(const struct memory *memory, size_t session_bytes, int64_t now_ns);

#endif
