/* Where sessions are kept: in memory, or in Redis for several replicas. */
#ifndef SERVER_SESSION_SESSION_STORE_H
#define SERVER_SESSION_SESSION_STORE_H

#include "config/settings.h"
#include "server/codec/buffer.h"
#include "session_record.h"

struct session_store;

enum session_result {
    SESSION_DONE,
    SESSION_CONFLICT,    /* what is stored is not what was expected; nothing was changed */
    SESSION_FULL,        /* there is no room for it; nothing was changed */
    SESSION_DAMAGED,     /* what is stored is no record that can be read; nothing was changed */
    SESSION_UNAVAILABLE, /* the store did not answer: a change may have been made or not */
};

/* One operation. Whoever submits it keeps it until it is done. */
struct session_op {
    enum { SESSION_LOAD, SESSION_SAVE } kind;
    const char *id;
    bool fresh;                    /* load: what the store has now, no copy that may be old */
    uint64_t expected;             /* save: the tag of the record that must be there; 0: none */
    bool replace;                  /* save: in the place of whatever is there, which was found damaged */
    struct session_record *record; /* save: what takes its place, or NULL to delete it; borrowed */
    void (*done)(struct session_op *op);

    /* set when it is done */
    enum session_result result;
    struct session_record *found; /* load and conflict: what there is, or NULL; a use of the caller's */
    char format[9];               /* damaged: that of another version of this program; or "" */

    /* the store's */
    struct session_op *next;
    bool whole; /* the record is longer than what was asked for: it is read once more */
};

struct session_store_class {
    bool (*submit)(struct session_store *store, struct session_op *op);
    size_t (*expire)(struct session_store *store);
    void (*limit)(struct session_store *store, size_t bytes);
    void (*metrics)(struct session_store *store, struct buffer *out);
    void (*models)(struct session_store *store, void (*each)(void *cls, const char *model, size_t n),
                   void *cls); /* or NULL */
    const char *(*trouble)(struct session_store *store);
    void (*stop)(struct session_store *store); /* or NULL */
    void (*close)(struct session_store *store);
};

/* The first member of every store. */
struct session_store {
    const struct session_store_class *class;
};

/* The store that the settings name; NULL with a sentence in error. */
struct session_store *session_store_open(const struct settings *settings, char *error, size_t error_size);

/* Begin an operation. True: it is done; false: op->done will be called, by another thread and perhaps already. */
bool session_submit(struct session_store *store, struct session_op *op);

/* Drop sessions that were not used for their time; called often. Returns the bytes of those that are left here. */
size_t session_store_expire(struct session_store *store);

/* Keep at most so many bytes from now on, in place of sessions.max_bytes. */
void session_store_limit(struct session_store *store, size_t bytes);

/* Gauges and counters in Prometheus's format. */
void session_store_metrics(struct session_store *store, struct buffer *out);

/* Tell how many of the sessions that are here belong to each model. */
void session_store_models(struct session_store *store, void (*each)(void *cls, const char *model, size_t n), void *cls);

/* What is wrong with the store at the moment, or NULL. */
const char *session_store_trouble(struct session_store *store);

/* Operations that are under way are done when it returns; later ones find the store unavailable. */
void session_store_stop(struct session_store *store);

/* NULL is fine. */
void session_store_close(struct session_store *store);

/* The kinds of store. */
struct session_store *session_memory_open(const struct settings *settings);
struct session_store *session_redis_open(const struct settings *settings, char *error, size_t error_size);

#endif
