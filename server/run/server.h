/* What the parts of a running server share. */
#ifndef SERVER_RUN_SERVER_H
#define SERVER_RUN_SERVER_H

#include "admission.h"
#include "config/model.h"
#include "config/settings.h"
#include "pool.h"
#include "server/api/pages.h"
#include "server/base/memory.h"
#include "server/base/metrics.h"
#include "server/session/session_store.h"
#include "server/session/turns.h"
#include "stream.h"

#include <stdatomic.h>

#define CELLSERVE_VERSION "0.1.0"

enum server_state {
    SERVER_LOADING,  /* listening; only health and metrics answer */
    SERVER_READY,    /* every model is loaded and warm */
    SERVER_DRAINING, /* requests are still answered, every answer ends its connection */
};

/* A configured model: the version that is served, and what became of the last attempt to replace it. */
struct slot {
    const struct model_entry *entry;
    struct model *current;         /* the slot's own use of it is one of its users */
    char stamp[MODEL_STAMP_BYTES]; /* of the files that were last loaded, or failed to load */
    uint64_t reloads, failures;
    const char *failure; /* why the last attempt failed, a constant fit for clients; NULL when it did not */
    char failed_version[MODEL_VERSION_BYTES];
};

struct server {
    const struct settings *settings;
    const struct vec_ops *vec;
    _Atomic enum server_state state; /* models may be read once it is not LOADING */
    atomic_bool cancel;              /* the drain's time is over: computing requests end with 503 */
    struct slot
        *slots; /* one for each model of the settings, in their order; what is in them is guarded by models_lock */
    size_t n_slots, default_slot;
    atomic_size_t changes;       /* versions that have taken another's place */
    pthread_mutex_t models_lock; /* no other lock is taken under it */
    size_t n_workers;
    struct pool pool;
    struct memory memory;
    struct admission admission;
    struct metrics metrics;
    struct turns turns;
    struct streams streams;
    struct pages pages;
    struct session_store *sessions; /* NULL outside a server */
    atomic_size_t connections;
    atomic_size_t refused; /* predictions, before a worker saw them, since that was last logged */
};

/* Load every model of the settings, and run one timestep of each; every problem is added. Then the pool's scratch size
   is known. server_close in any case. */
bool server_load(struct server *server, struct problems *problems, size_t *scratch_bytes);

/* Load a slot's files anew and put them in its model's place: those of a version, "" the highest. False with problems
   added, and the old version serves on, when that fails; the slot says it to clients. Called by one thread at a time. */
bool server_reload(struct server *server, struct slot *slot, const char *version, struct problems *problems);

/* The model of a name ("" the default one), which the caller now uses until server_release; or NULL. */
struct model *server_acquire(struct server *server, const char *name);
/* End a use; NULL is fine. The last one frees the model. */
void server_release(struct model *model);

void server_close(struct server *server);

#endif
