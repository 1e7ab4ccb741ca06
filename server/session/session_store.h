/* The store of sessions: in memory, or in Redis for several replicas. */
#ifndef SERVER_SESSION_SESSION_STORE_H
#define SERVER_SESSION_SESSION_STORE_H

#include "config/settings.h"
#include "server/codec/buffer.h"
#include "session_record.h"

struct session_store;

enum session_result {
    SESSION_DONE,
    SESSION_CONFLICT,    /* the stored record is not the expected one; nothing was changed */
    SESSION_FULL,        /* there is no room for the record; nothing was changed */
    SESSION_DAMAGED,     /* the stored record cannot be read; nothing was changed */
    SESSION_UNAVAILABLE, /* the store did not answer: the change may have been made or not */
};

/* One operation. It must exist until it is done. */
struct session_op {
    enum { SESSION_LOAD, SESSION_SAVE } kind;
    const char *id;
    bool fresh;                    /* load: the current record of the store, not a copy that may be old */
    uint64_t expected;             /* save: the tag that the stored record must have; 0: there must be none */
    bool replace;                  /* save: replace any record, because the stored one is damaged */
    struct session_record *record; /* save: the new record, or NULL to delete the record; borrowed */
    void (*done)(struct session_op *op);

    /* results, set when the operation is done */
    enum session_result result;
    struct session_record *found; /* load and conflict: a use of the stored record for the caller, or NULL */
    char format[9];               /* damaged: the format, if another version of this program wrote the record; otherwise
                                     "" */

    /* fields of the store */
    struct session_op *next;
    bool whole; /* the record is longer than the read range, and is read again */
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

/* The first member of the struct of every store. */
struct session_store {
    const struct session_store_class *class;
};

/* Open the store of the settings. Returns NULL with a sentence in error. */
struct session_store *session_store_open(const struct settings *settings, char *error, size_t error_size);

/* Begin an operation. Returns true if it is done. Otherwise another thread will call op->done, perhaps before this
   function returns. */
bool session_submit(struct session_store *store, struct session_op *op);

/* Remove expired sessions; called often. Returns the bytes of the remaining sessions in this process. */
size_t session_store_expire(struct session_store *store);

/* Set a limit of bytes that replaces sessions.max_bytes. */
void session_store_limit(struct session_store *store, size_t bytes);

/* Write gauges and counters in Prometheus's format. */
void session_store_metrics(struct session_store *store, struct buffer *out);

/* Report the number of sessions of each model in this process. */
void session_store_models(struct session_store *store, void (*each)(void *cls, const char *model, size_t n), void *cls);

/* The current error of the store, or NULL. */
const char *session_store_trouble(struct session_store *store);

/* Finish the operations that are under way. Later operations find the store unavailable. */
void session_store_stop(struct session_store *store);

/* store may be NULL. */
void session_store_close(struct session_store *store);

/* The kinds of store. */
struct session_store *session_memory_open(const struct settings *settings);
struct session_store *session_redis_open(const struct settings *settings, char *error, size_t error_size);

#endif
