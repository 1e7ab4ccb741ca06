/* Numbers that http/ counts, beside the metrics of requests. */
#ifndef SERVER_BASE_COUNTERS_H
#define SERVER_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>

/* Of one I/O thread, which alone writes them. */
struct io_counters {
    _Alignas(64) atomic_size_t connections; /* open ones */
    atomic_size_t requests;                 /* that have ended */
};

struct counters {
    struct io_counters *io; /* of http/, while there is one */
    size_t n_io;
    atomic_size_t refused; /* predictions, before a worker saw them, since that was last logged */
};

#endif
