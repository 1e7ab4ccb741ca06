/* Numbers that http/ counts, beside the metrics of requests. */
#ifndef SERVER_BASE_COUNTERS_H
#define SERVER_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>

struct counters {
    atomic_size_t connections; /* open ones */
    atomic_size_t refused;     /* predictions, before a worker saw them, since that was last logged */
};

#endif
