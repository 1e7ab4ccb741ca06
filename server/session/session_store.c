/* Selects the store of the settings. */
#include "session_store.h"

#include <stdio.h>
#include <string.h>

struct session_store *session_store_open(const struct settings *settings, char *error, size_t error_size)
{
    snprintf(error, error_size, "out of memory for the sessions");
    return strcmp(settings->session_store, "memory") ? session_redis_open(settings, error, error_size)
                                                     : session_memory_open(settings);
}

bool session_submit(struct session_store *store, struct session_op *op)
{
    return store->class->submit(store, op);
}

size_t session_store_expire(struct session_store *store)
{
    return store->class->expire(store);
}

void session_store_limit(struct session_store *store, size_t bytes)
{
    store->class->limit(store, bytes);
}

void session_store_metrics(struct session_store *store, struct buffer *out)
{
    store->class->metrics(store, out);
}

void session_store_models(struct session_store *store, void (*each)(void *cls, const char *model, size_t n), void *cls)
{
    if (store->class->models)
        store->class->models(store, each, cls);
}

const char *session_store_trouble(struct session_store *store)
{
    return store->class->trouble(store);
}

void session_store_stop(struct session_store *store)
{
    if (store->class->stop)
        store->class->stop(store);
}

void session_store_close(struct session_store *store)
{
    if (store)
        store->class->close(store);
}
