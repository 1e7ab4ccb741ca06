/* What the parts of a running server share. */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#include "config/model.h"
#include "config/settings.h"
#include "memory.h"
#include "metrics.h"
#include "pool.h"

#include <stdatomic.h>

#define CELLSERVE_VERSION "0.1.0"

enum server_state {
    SERVER_LOADING,  /* listening; only health and metrics answer */
    SERVER_READY,    /* every model is loaded and warm */
    SERVER_DRAINING, /* requests are still answered, every answer ends its connection */
};

struct server {
    const struct settings *settings;
    const struct vec_ops *vec;
    _Atomic enum server_state state; /* models may be read once it is not LOADING */
    atomic_bool cancel;              /* the drain's time is over: computing requests end with 503 */
    struct model *models;
    size_t n_models;
    struct model *default_model;
    size_t n_workers;
    struct pool pool;
    struct memory memory;
    struct metrics metrics;
    atomic_size_t connections;
};

/* Load every model of the settings; every problem is added. Then the pool's scratch size is known. */
bool server_load(struct server *server, struct problems *problems, size_t *scratch_bytes);

/* Run one timestep of every model: its pages are touched, and what cannot run is found before clients find it. */
bool server_warm(struct server *server, struct problems *problems);

/* The model of a name ("" the default one), or NULL. */
const struct model *server_model(const struct server *server, const char *name);

void server_close(struct server *server);

#endif
