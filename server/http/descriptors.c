/* The limit of open files. */
#include "descriptors.h"

#include "linger.h"

#include <sys/resource.h>

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

bool descriptors_share(size_t limit, size_t connections, struct descriptors *out)
{
    size_t room = limit > DESCRIPTORS_RESERVE ? limit - DESCRIPTORS_RESERVE : 0;
    *out = (struct descriptors){.limit = limit, .spare = smaller(DESCRIPTORS_SPARE, room / 4)};
    out->connections = smaller(connections, room - out->spare - smaller(LINGER_MOST, room / 8));
    out->lingering = smaller(LINGER_MOST, room - out->spare - out->connections);
    return room >= DESCRIPTORS_LEAST;
}

bool descriptors_raise(size_t connections, size_t others, struct descriptors *out)
{
    struct rlimit limit;
    rlim_t wanted = (rlim_t)connections + DESCRIPTORS_SPARE + LINGER_MOST + DESCRIPTORS_RESERVE + others;
    if (getrlimit(RLIMIT_NOFILE, &limit) || limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= wanted)
        return descriptors_share((size_t)wanted - others, connections, out);
    rlim_t before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max == RLIM_INFINITY || limit.rlim_max > wanted ? wanted : limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        limit.rlim_cur = before;
    others = others < limit.rlim_cur ? others : (size_t)limit.rlim_cur;
    bool good = descriptors_share((size_t)limit.rlim_cur - others, connections, out);
    out->limit = (size_t)limit.rlim_cur;
    return good;
}
