/* How the files that the process may have open (ulimit -n) are shared out. */
#ifndef SERVER_HTTP_DESCRIPTORS_H
#define SERVER_HTTP_DESCRIPTORS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    DESCRIPTORS_SPARE = 64,   /* connections beyond those that are served, for probes and for refusing */
    DESCRIPTORS_RESERVE = 64, /* for all else: loading models anew, the helper, the session store, the log */
    DESCRIPTORS_LEAST = 16,   /* connections below which there is no point in starting */
};

struct descriptors {
    size_t limit;       /* files that may be open */
    size_t connections; /* that are served: as many as wanted, or fewer */
    size_t spare, lingering;
};

/* Share out a limit; false when too little is left for connections. */
bool descriptors_share(size_t limit, size_t connections, struct descriptors *out);

/* Raise the process's limit as far as that is useful and allowed, and share it out. others: so many files are kept besides. */
bool descriptors_raise(size_t connections, size_t others, struct descriptors *out);

#endif
