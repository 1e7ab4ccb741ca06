/* Counters of http/, besides the metrics of requests. */
#ifndef SERVER_BASE_COUNTERS_H
#define SERVER_BASE_COUNTERS_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* Counters of one I/O thread. Only this thread writes them. */
struct io_counters {
    _Alignas(64) atomic_size_t connections; /* open ones */
    atomic_size_t requests;                 /* that have ended */
};

/* The certificate of HTTPS. */
struct certificate_counters {
    atomic_size_t reloads, failures;
    atomic_int failed;         /* the last attempt to read it */
    _Atomic int64_t expires_s; /* since 1970; 0: there is none */
};

/* Of connections: as they are ordered in http/connections.h. */
enum { COUNTERS_STAGES = 7 };

struct counters {
    struct io_counters *io; /* of http/, while there is one */
    size_t n_io;
    /* since the last line of the log about them: */
    atomic_size_t refused; /* predictions that were refused before a worker saw them */
    atomic_size_t limited; /* requests whose key exceeded its rate */
    struct certificate_counters certificate;
    void (*stages)(void *cls,
                   size_t counts[COUNTERS_STAGES]); /* of http/: how many connections are in each stage; or NULL */
    void *stages_cls;
};

#endif
