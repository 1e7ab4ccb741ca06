/* Sessions in the memory of this process. Only expired sessions are removed to make room. */
#include "server/base/clock.h"
#include "server/codec/metrics_text.h"
#include "session_store.h"
#include "session_table.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

/* The id of a session determines its shard, so that steps of different sessions seldom contend for a lock. */
enum { SHARDS = 16 };

struct shard {
    _Alignas(64) pthread_mutex_t lock; /* guards the table; no other lock is taken while it is held */
    struct session_table table;
};

struct session_memory {
    struct session_store store;
    size_t max_sessions;
    int64_t ttl_ns;
    uint64_t seed;
    atomic_size_t max_bytes;
    _Alignas(64) atomic_size_t count, bytes; /* the totals of all tables, including records that are about to be
                                                added */
    atomic_uint_fast64_t expired, refused;
    struct shard shards[SHARDS];
};

static struct shard *shard_of(struct session_memory *memory, const char *id)
{
    return &memory->shards[XXH3_64bits_withSeed(id, strlen(id), memory->seed) % SHARDS];
}

/* Under the lock. */
static void remove_entry(struct session_memory *memory, struct session_table *table, struct session_entry *entry)
{
    size_t before = table->bytes;
    session_table_remove(table, entry);
    memory->bytes -= before - table->bytes;
    memory->count--;
}

/* Under the lock. */
static void drop_expired(struct session_memory *memory, struct session_table *table, int64_t now)
{
    for (; table->oldest && table->oldest->used_ns + memory->ttl_ns <= now; memory->expired++)
        remove_entry(memory, table, table->oldest);
}

static void drop_all_expired(struct session_memory *memory, int64_t now)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *shard = &memory->shards[i];
        pthread_mutex_lock(&shard->lock);
        drop_expired(memory, &shard->table, now);
        pthread_mutex_unlock(&shard->lock);
    }
}

/* Count sessions and bytes that are about to be added, and that replace `less` bytes. Returns false, and counts
   nothing, if there is no room. A session that does not grow may continue even if max_bytes has been lowered below the
   current total. */
static bool reserve(struct session_memory *memory, size_t sessions, size_t cost, size_t less)
{
    size_t most = memory->max_bytes;
    if (!sessions && cost <= less) {
        memory->bytes -= less - cost;
        return true;
    }
    if (sessions && atomic_fetch_add(&memory->count, sessions) >= memory->max_sessions) {
        memory->count -= sessions;
        return false;
    }
    size_t before = atomic_fetch_add(&memory->bytes, cost - less);
    if (cost <= most && before - less <= most - cost)
        return true;
    memory->bytes -= cost - less;
    memory->count -= sessions;
    return false;
}

/* Under the lock: replace the record of an entry, or add a new entry (NULL). */
static bool put_record(struct session_memory *memory, struct session_table *table, const struct session_entry *entry,
                       const struct session_op *op, int64_t now)
{
    size_t less = entry ? session_table_cost(op->id, entry->record) : 0, cost = session_table_cost(op->id, op->record);
    size_t sessions = !entry;
    if (!reserve(memory, sessions, cost, less))
        return false;
    if (session_table_put(table, op->id, op->record, now))
        return true;
    memory->bytes -= cost - less;
    memory->count -= sessions;
    return false;
}

/* Returns false if there was no room. */
static bool try_op(struct session_memory *memory, struct session_op *op, int64_t now)
{
    struct shard *shard = shard_of(memory, op->id);
    struct session_table *table = &shard->table;
    bool good = true;
    pthread_mutex_lock(&shard->lock);
    drop_expired(memory, table, now);
    struct session_entry *entry = session_table_find(table, op->id);
    bool expected = op->kind == SESSION_LOAD || (entry ? entry->record->head.tag : 0) == op->expected;
    op->found = NULL;
    op->result = SESSION_DONE;
    if (op->kind == SESSION_LOAD || !expected) {
        op->found = entry ? session_record_use(entry->record) : NULL;
        op->result = expected ? SESSION_DONE : SESSION_CONFLICT;
    } else if (op->record) {
        good = put_record(memory, table, entry, op, now);
    } else if (entry) {
        remove_entry(memory, table, entry);
    }
    pthread_mutex_unlock(&shard->lock);
    return good;
}

static bool memory_submit(struct session_store *store, struct session_op *op)
{
    struct session_memory *memory = (struct session_memory *)store;
    int64_t now = clock_ns();
    if (try_op(memory, op, now))
        return true;
    drop_all_expired(memory, now); /* expired sessions of other shards also make room */
    if (!try_op(memory, op, now)) {
        memory->refused++;
        op->result = SESSION_FULL;
    }
    return true;
}

static size_t memory_expire(struct session_store *store)
{
    struct session_memory *memory = (struct session_memory *)store;
    drop_all_expired(memory, clock_ns());
    return memory->bytes;
}

static void memory_limit(struct session_store *store, size_t bytes)
{
    ((struct session_memory *)store)->max_bytes = bytes;
}

static void memory_metrics(struct session_store *store, struct buffer *out)
{
    struct session_memory *memory = (struct session_memory *)store;
    drop_all_expired(memory, clock_ns());
    metrics_text_value(out, "sessions", "gauge", "Sessions with stored states.", (double)memory->count);
    metrics_text_value(out, "session_bytes", "gauge", "Memory of stored sessions.", (double)memory->bytes);
    metrics_text_value(out, "sessions_expired_total", "counter", "Sessions that ended unused.",
                       (double)memory->expired);
    metrics_text_value(out, "sessions_refused_total", "counter",
                       "Steps refused because the store of sessions was full.", (double)memory->refused);
}

/* Further models are counted together, under "". */
enum { MODELS_TOLD = 64 };

static void memory_models(struct session_store *store, void (*each)(void *cls, const char *model, size_t n), void *cls)
{
    struct session_memory *memory = (struct session_memory *)store;
    char names[MODELS_TOLD + 1][SESSION_MODEL_BYTES] = {{0}};
    size_t counts[MODELS_TOLD + 1] = {0}, n = 0;
    for (size_t k = 0; k < SHARDS; k++) {
        struct shard *shard = &memory->shards[k];
        pthread_mutex_lock(&shard->lock);
        for (const struct session_entry *entry = shard->table.oldest; entry; entry = entry->newer) {
            size_t i = 0;
            while (i < n && strcmp(names[i], entry->record->head.model))
                i++;
            if (i == n && n < MODELS_TOLD)
                memcpy(names[n++], entry->record->head.model, SESSION_MODEL_BYTES);
            counts[i]++;
        }
        pthread_mutex_unlock(&shard->lock);
    }
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
    for (size_t i = 0; i < SHARDS; i++) {
        session_table_close(&memory->shards[i].table);
        pthread_mutex_destroy(&memory->shards[i].lock);
    }
    free(memory);
}

static const struct session_store_class class = {memory_submit, memory_expire,  memory_limit, memory_metrics,
                                                 memory_models, memory_trouble, NULL,         memory_close};

struct session_store *session_memory_open(const struct settings *settings)
{
    struct session_memory *memory = aligned_alloc(_Alignof(struct session_memory), sizeof *memory);
    if (!memory)
        return NULL;
    memset(memory, 0, sizeof *memory);
    memory->store.class = &class;
    memory->max_sessions = (size_t)settings->session_max;
    memory->max_bytes = (size_t)settings->session_max_bytes;
    memory->ttl_ns = settings->session_ttl_s * 1000 * NS_PER_MS;
    memory->seed = session_tag();
    bool good = true;
    for (size_t i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&memory->shards[i].lock, NULL);
        good = session_table_open(&memory->shards[i].table) && good;
    }
    if (good)
        return &memory->store;
    memory_close(&memory->store);
    return NULL;
}
