/* Replacing models while they serve: on a signal, or when their files change. */
#ifndef SERVER_RELOAD_H
#define SERVER_RELOAD_H

#include "server.h"

struct reload;

/* Start the thread that loads. NULL when it cannot be had. The server is loaded and outlives it. */
struct reload *reload_start(struct server *server);

/* Load every model anew, soon. Models that are watched are looked at without being asked. */
void reload_all(struct reload *reload);

/* End the thread, after the load that it may be in the middle of. NULL is fine. */
void reload_stop(struct reload *reload);

#endif
