/* The owner of the data that requests share, from the start of a command to its end. */
#ifndef SERVER_RUN_SERVER_H
#define SERVER_RUN_SERVER_H

#include "admission.h"
#include "models.h"
#include "pool.h"
#include "server/base/counters.h"
#include "server/base/lifecycle.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/session/turns.h"
#include "services.h"
#include "stream.h"

/* Only the commands of cli/ see all of it. Other code gets struct services. */
struct server {
    struct lifecycle lifecycle;
    struct models models; /* loaded by a thread of serve, replaced by that of reload.h */
    struct memory memory; /* the account of all requests */
    struct pool pool;     /* started once the models are loaded; it owns the workers */
    struct admission admission;
    struct turns turns;
    struct streams streams;
    struct metrics metrics;
    struct counters counters;
    struct services services; /* pointers to the above */
};

/* Without models, sessions and pages; the pool is not started. The server stays where it is. */
void server_init(struct server *server, const struct settings *settings, const struct vec_ops *vec, size_t n_workers);

/* The models too. The pool has been stopped, if it was started; there are no requests any more. */
void server_close(struct server *server);

#endif
