/* Divides the number of files that the process may open (ulimit -n). */
#ifndef SERVER_HTTP_DESCRIPTORS_H
#define SERVER_HTTP_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    DESCRIPTORS_SPARE = 64,   /* connections beyond those that are served, for probes and for refusing */
    DESCRIPTORS_RESERVE = 64, /* for other files: loading models, the helper, the session store, the log */
    DESCRIPTORS_LEAST = 16,   /* the least number of connections with which the server starts */
};

struct descriptors {
    size_t limit;       /* files that may be open */
    size_t connections; /* connections that are served: as many as configured, or fewer */
    size_t spare, lingering;
};

/* Divide a limit. Returns false if too few connections remain. */
bool descriptors_share(size_t limit, size_t connections, struct descriptors *out);

/* Raise the process's limit as far as useful and allowed, and divide it. others: the number of further files to
   reserve. */
bool descriptors_raise(size_t connections, size_t others, struct descriptors *out);

#endif
