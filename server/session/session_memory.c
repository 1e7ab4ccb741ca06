/* Sessions in the memory of this process. Only those that have expired make room for others. */
#include "server/base/clock.h"
#include "server/codec/metrics_text.h"
#include "session_store.h"
#include "session_table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct session_memory {
    struct session_store store;
    pthread_mutex_t lock; /* guards all below; no other lock is taken under it */
    struct session_table table;
    size_t max_sessions, max_bytes;
    int64_t ttl_ns;
    uint64_t expired, refused;
};

/* Under the lock. */
static void drop_expired(struct session_memory *memory, int64_t now)
{
    struct session_table *table = &memory->table;
    for (; table->oldest && table->oldest->used_ns + memory->ttl_ns <= now; memory->expired++)
        session_table_remove(table, table->oldest);
}

/* Under the lock: whether there is room for a record in the place of entry (NULL: a new one). A session that does not grow
   goes on, also where max_bytes has been lowered below what there is. */
static bool has_room(const struct session_memory *memory, const struct session_entry *entry,
                     const struct session_op *op)
{
    const struct session_table *table = &memory->table;
    size_t less = entry ? session_table_cost(op->id, entry->record) : 0, cost = session_table_cost(op->id, op->record);
    if (entry && cost <= less)
        return true;
    return (entry || table->count < memory->max_sessions) && cost <= memory->max_bytes &&
           table->bytes - less <= memory->max_bytes - cost;
}

static enum session_result memory_save(struct session_memory *memory, struct session_entry *entry,
                                       const struct session_op *op, int64_t now)
{
    if (!op->record) {
        if (entry)
            session_table_remove(&memory->table, entry);
        return SESSION_DONE;
    }
    if (has_room(memory, entry, op) && session_table_put(&memory->table, op->id, op->record, now))
        return SESSION_DONE;
    memory->refused++;
    return SESSION_FULL;
}

static bool memory_submit(struct session_store *store, struct session_op *op)
{
    struct session_memory *memory = (struct session_memory *)store;
    int64_t now = clock_ns();
    pthread_mutex_lock(&memory->lock);
    drop_expired(memory, now);
    struct session_entry *entry = session_table_find(&memory->table, op->id);
    bool expected = op->kind == SESSION_LOAD || (entry ? entry->record->head.tag : 0) == op->expected;
    if (op->kind == SESSION_SAVE && expected) {
        op->found = NULL;
        op->result = memory_save(memory, entry, op, now);
    } else {
        op->found = entry ? session_record_use(entry->record) : NULL;
        op->result = expected ? SESSION_DONE : SESSION_CONFLICT;
    }
    pthread_mutex_unlock(&memory->lock);
    return true;
}

static size_t memory_expire(struct session_store *store)
{
    struct session_memory *memory = (struct session_memory *)store;
    pthread_mutex_lock(&memory->lock);
    drop_expired(memory, clock_ns());
    size_t bytes = memory->table.bytes;
    pthread_mutex_unlock(&memory->lock);
    return bytes;
}

static void memory_limit(struct session_store *store, size_t bytes)
{
    struct session_memory *memory = (struct session_memory *)store;
    pthread_mutex_lock(&memory->lock);
    memory->max_bytes = bytes;
    pthread_mutex_unlock(&memory->lock);
}

static void memory_metrics(struct session_store *store, struct buffer *out)
{
    struct session_memory *memory = (struct session_memory *)store;
    pthread_mutex_lock(&memory->lock);
    drop_expired(memory, clock_ns());
    size_t count = memory->table.count, bytes = memory->table.bytes;
    uint64_t expired = memory->expired, refused = memory->refused;
    pthread_mutex_unlock(&memory->lock);
    metrics_text_value(out, "sessions", "gauge", "Sessions with stored states.", (double)count);
    metrics_text_value(out, "session_bytes", "gauge", "Memory of stored sessions.", (double)bytes);
    metrics_text_value(out, "sessions_expired_total", "counter", "Sessions that ended unused.", (double)expired);
    metrics_text_value(out, "sessions_refused_total", "counter",
                       "Steps refused because the store of sessions was full.", (double)refused);
}

/* Models beyond these are told together, under "". */
enum { MODELS_TOLD = 64 };

static void memory_models(struct session_store *store, void (*each)(void *cls, const char *model, size_t n), void *cls)
{
    struct session_memory *memory = (struct session_memory *)store;
    char names[MODELS_TOLD + 1][SESSION_MODEL_BYTES] = {{0}};
    size_t counts[MODELS_TOLD + 1] = {0}, n = 0;
    pthread_mutex_lock(&memory->lock);
    for (const struct session_entry *entry = memory->table.oldest; entry; entry = entry->newer) {
        size_t i = 0;
        while (i < n && strcmp(names[i], entry->record->head.model))
            i++;
        if (i == n && n < MODELS_TOLD)
            memcpy(names[n++], entry->record->head.model, SESSION_MODEL_BYTES);
        counts[i]++;
    }
    pthread_mutex_unlock(&memory->lock);
    for (size_t i = 0; i <= n && i <= MODELS_TOLD; i++)
        if (counts[i])
            each(cls, names[i], counts[i]);
}

static const char *memory_trouble(struct session_store *store)
{
    (void)store;
    return NULL;
}

static void memory_close(struct session_store *store)
{
    struct session_memory *memory = (struct session_memory *)store;
    session_table_close(&memory->table);
    pthread_mutex_destroy(&memory->lock);
    free(memory);
}

static const struct session_store_class class = {memory_submit, memory_expire,  memory_limit, memory_metrics,
                                                 memory_models, memory_trouble, NULL,         memory_close};

struct session_store *session_memory_open(const struct settings *settings)
{
    struct session_memory *memory = calloc(1, sizeof *memory);
    if (!memory || !session_table_open(&memory->table)) {
        free(memory);
        return NULL;
    }
    memory->store.class = &class;
    memory->max_sessions = (size_t)settings->session_max;
    memory->max_bytes = (size_t)settings->session_max_bytes;
    memory->ttl_ns = settings->session_ttl_s * 1000 * NS_PER_MS;
    pthread_mutex_init(&memory->lock, NULL);
    return &memory->store;
}
