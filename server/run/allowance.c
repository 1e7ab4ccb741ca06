/* Limits of memory, and shares of them. */
#include "allowance.h"
#include "server/base/memory.h"

#include "config/settings.h"
#include "models.h"
#include "server/base/cgroup.h"
#include "server/base/clock.h"
#include "server/base/cpus.h"
#include "server/base/log.h"
#include "server/session/session_store.h"
#include "services.h"

#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define MIB (UINT64_C(1) << 20)

enum {
    REQUESTS_SHARE = 4, /* a quarter */
    SESSIONS_SHARE = 4,
    BODY_SHARE = 16, /* of the largest body, so that a few of them leave memory for other requests */
    CONNECTIONS_SHARE = 8,
    CONNECTION_BYTES = 40 << 10, /* libmicrohttpd's 32 KiB, and the state of a connection */
    SPARE_SHARE = 8,             /* for threads, connections and the overhead of malloc */
    STACK_BYTES = 8 << 20,
    THREADS = 8,           /* besides the workers */
    LEAST_BYTES = 1 << 20, /* the least memory of requests, or of sessions, even if the models leave less */
    TRIM_MS = 5000,        /* the least time between two returns of memory */
    TRIM_BYTES = 32 << 20, /* the least freed memory that is returned */
};

/* ---- limits ---- */

/* "max" means no limit, and so does the largest number of version 1 (the most bytes that pages can have). Returns 0. */
static uint64_t parse(const char *text)
{
    char *end;
    unsigned long long bytes = strtoull(text, &end, 10);
    return end == text || bytes >= UINT64_C(1) << 60 ? 0 : bytes;
}

static uint64_t limit_v2(const char *folder)
{
    char text[64];
    return cgroup_read(folder, "memory.max", text, sizeof text) ? parse(text) : 0;
}

static uint64_t limit_v1(const char *folder)
{
    char text[64];
    return cgroup_read(folder, "memory.limit_in_bytes", text, sizeof text) ? parse(text) : 0;
}

/* Columns of /proc/self/statm. */
enum column { SIZE = 0, RESIDENT = 1, DATA = 5 };

static uint64_t used_now(enum column column)
{
    char text[256], *at = text;
    uint64_t pages = 0;
    cgroup_read("/proc/self", "statm", text, sizeof text);
    for (size_t i = 0; i <= (size_t)column; i++)
        pages = strtoull(at, &at, 10);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void take_least(struct allowance *least, uint64_t bytes, const char *from)
{
    if (bytes && bytes < least->bytes) {
        least->bytes = bytes;
        least->bytes_from = from;
    }
}

static uint64_t what_is_left(int resource, uint64_t used)
{
    struct rlimit limit;
    if (getrlimit(resource, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return 0;
    return limit.rlim_cur > used ? limit.rlim_cur - used : 1;
}

struct allowance allowance_find(const char *root, size_t workers)
{
    struct allowance found = {.bytes = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE),
                              .bytes_from = "the machine's"};
    found.cpus = cpus_allowed(root, &found.cpus_from);
    uint64_t stacks = (uint64_t)((workers ? workers : found.cpus) + THREADS) * STACK_BYTES;
    take_least(&found, cgroup_least(root, NULL, limit_v2), "cgroup v2 memory.max");
    take_least(&found, cgroup_least(root, "memory", limit_v1), "cgroup v1 memory.limit_in_bytes");
    take_least(&found, what_is_left(RLIMIT_AS, used_now(SIZE) + stacks), "what RLIMIT_AS leaves");
    take_least(&found, what_is_left(RLIMIT_DATA, used_now(DATA) + stacks), "what RLIMIT_DATA leaves");
    return found;
}

/* ---- shares ---- */

/* glibc keeps freed blocks of up to 32 MiB in its heaps, one for some threads each: a small limit could be filled by them
   alone. A mapped block goes back to the system when it is freed. */
static void tell_malloc(uint64_t bytes)
{
    uint64_t mapped = bytes / 256;
    if (mapped >= 32 * MIB)
        return;
    mallopt(M_MMAP_THRESHOLD, mapped < MIB / 8 ? (int)(MIB / 8) : (int)mapped);
    mallopt(M_ARENA_MAX, bytes < 128 * MIB ? 1 : (int)(bytes / (64 * MIB)));
}

void allowance_share(const struct allowance *allowance, struct settings *settings)
{
    int64_t bytes = (int64_t)allowance->bytes;
    settings_lower(settings, &settings->max_inflight_bytes, bytes / REQUESTS_SHARE);
    settings_lower(settings, &settings->session_max_bytes, bytes / SESSIONS_SHARE);
    settings_lower(settings, &settings->max_body_bytes, bytes / BODY_SHARE);
    settings_lower(settings, &settings->max_connections, bytes / CONNECTIONS_SHARE / CONNECTION_BYTES);
    tell_malloc(allowance->bytes);
}

static uint64_t scaled(uint64_t bytes, double factor)
{
    double less = (double)bytes * factor;
    return less < LEAST_BYTES ? LEAST_BYTES : (uint64_t)less;
}

static void log_allowance(const struct allowance *allowance, const struct services *services)
{
    log_line(LOG_INFO,
             "%zu CPU%s (%s), %" PRIu64 " MiB of memory (%s): the program and its models take %" PRIu64
             ", requests at most %zu, one body %" PRIu64 "",
             allowance->cpus, allowance->cpus == 1 ? "" : "s", allowance->cpus_from, allowance->bytes / MIB,
             allowance->bytes_from, used_now(RESIDENT) / MIB, services->memory->limit / (size_t)MIB,
             (uint64_t)services->settings->max_body_bytes / MIB);
}

/* The memory of the program, its models and the workers' scratch, and a reserve. */
static uint64_t taken_bytes(struct allowance *allowance, const struct services *services)
{
    size_t models, scratch;
    models_memory(services->models, &models, &scratch);
    if (!allowance->program_bytes) {
        uint64_t resident = used_now(RESIDENT);
        allowance->program_bytes = resident > models ? resident - models : 1;
    }
    return allowance->program_bytes + models + services->n_workers * scratch + allowance->bytes / SPARE_SHARE;
}

void allowance_settle(struct allowance *allowance, const struct services *services)
{
    const struct settings *settings = services->settings;
    uint64_t requests = (uint64_t)settings->max_inflight_bytes, sessions = (uint64_t)settings->session_max_bytes;
    uint64_t taken = taken_bytes(allowance, services);
    uint64_t left = allowance->bytes > taken ? allowance->bytes - taken : 0;
    double fits = (double)left / (double)(requests + sessions), before = allowance->fits;
    allowance->fits = fits < 1 ? fits : 1;
    if (allowance->fits == before)
        return;
    if (!settings_given(settings, &settings->max_inflight_bytes))
        services->memory->limit = fits < 1 ? scaled(requests, fits) : requests;
    if (!settings_given(settings, &settings->session_max_bytes))
        session_store_limit(services->sessions, fits < 1 ? scaled(sessions, fits) : sessions);
    if (fits < 1)
        log_line(LOG_WARN,
                 "memory: the program and its models leave %" PRIu64 " MiB of %" PRIu64
                 ", and requests and sessions may hold %" PRIu64 " and %" PRIu64
                 ": what was not set of these is lowered",
                 left / MIB, allowance->bytes / MIB, requests / MIB, sessions / MIB);
    log_allowance(allowance, services);
}

void allowance_give_back(void)
{
    malloc_trim(0);
}

void allowance_trim(const struct memory *memory, size_t session_bytes, int64_t now_ns)
{
    static size_t most; /* the most memory held since the last return */
    static int64_t next_ns;
    size_t held = memory->used + session_bytes;
    size_t limit = memory->limit / 4, worth = limit < TRIM_BYTES ? limit : TRIM_BYTES;
    if (held > most)
        most = held;
    if (now_ns < next_ns || most - held < worth || held > most / 2)
        return;
    next_ns = now_ns + TRIM_MS * (int64_t)NS_PER_MS;
    most = held;
    allowance_give_back();
}
