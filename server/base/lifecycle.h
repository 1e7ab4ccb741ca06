/* The state of the process. */
#ifndef SERVER_BASE_LIFECYCLE_H
#define SERVER_BASE_LIFECYCLE_H

#include <stdatomic.h>
#include <stdbool.h>

enum server_state {
    SERVER_LOADING,  /* listening; only health and metrics answer */
    SERVER_READY,    /* every model is loaded and warm */
    SERVER_DRAINING, /* requests are still answered, every answer ends its connection */
};

struct lifecycle {
    _Atomic enum server_state state; /* models may be read once it is not LOADING */
    atomic_bool cancel;              /* the drain's time is over: computing requests end with 503 */
};

#endif
