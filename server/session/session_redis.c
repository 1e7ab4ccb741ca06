/* Sessions in Redis, which any replica can use. One thread has the connection: it sends all waiting operations at once
   and reads the replies in the same order. An error of one key is an error of its session. After any other error the
   connection is closed, and sessions are unavailable until a Redis that takes writes is found. */
#include "redis_health.h"
#include "redis_primary.h"
#include "server/base/clock.h"
#include "server/codec/metrics_text.h"
#include "session_store.h"
#include "session_table.h"

#include <ctype.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROUND_MS = 1000, /* the limit for all commands of one round */
    ROUND_COMMANDS = 128,
    ROUND_BYTES = 4 << 20, /* the bytes of records to be saved in one round */
    FIRST_RETRY_MS = 50,
    LAST_RETRY_MS = 500,  /* the pause before the next attempt doubles up to this */
    FIRST_BYTES = 65536,  /* longer records are read a second time, with the length from their head */
    LEAST_MOST = 4 << 20, /* the bounds of the longest record */
    MOST_MOST = 64 << 20,
};

/* Compare and set: the tag of a record is in its bytes 16 to 23; '*' accepts any stored record. On success, returns a
   proof for this command: the new tag, or for a deletion the first argument. Otherwise returns the first bytes of the
   stored record. */
static const char script[] = "if ARGV[1] ~= '*' and redis.call('GETRANGE', KEYS[1], 16, 23) ~= ARGV[1] then "
                             "return redis.call('GETRANGE', KEYS[1], 0, ARGV[4]) end "
                             "if ARGV[2] == '' then redis.call('DEL', KEYS[1]) return ARGV[1] end "
                             "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return string.sub(ARGV[2], 17, 24)";
_Static_assert(offsetof(struct session_head, tag) == 16, "the script knows where the tag is");

#define KEY_PREFIX "cellserve:session:"

struct session_redis {
    struct session_store store;
    /* fields of the thread */
    struct redis_health health;
    struct redis_primary primary;
    char ttl_ms[24];
    int64_t pause_ms;
    pthread_t thread;

    sem_t news;        /* signals the first waiting operation, or the end */
    atomic_bool waits; /* whether operations wait */
    atomic_bool ending;
    pthread_mutex_t lock; /* guards the fields below; no other lock is taken while it is held */
    struct session_op *first, **last;
    struct session_table copies;              /* copies of records, as this replica last saw them */
    size_t max_copies, max_bytes, most_bytes; /* most: the limit for one record */
    int64_t ttl_ns;
    uint64_t operations, conflicts;
};

/* ---- copies, under the lock ---- */

static void forget_copy(struct session_redis *redis, const char *id)
{
    struct session_entry *entry = session_table_find(&redis->copies, id);
    if (entry)
        session_table_remove(&redis->copies, entry);
}

static void remember_copy(struct session_redis *redis, const char *id, struct session_record *record)
{
    struct session_table *copies = &redis->copies;
    if (!record || !session_table_put(copies, id, record, clock_ns())) {
        forget_copy(redis, id);
        return;
    }
    while (copies->oldest && (copies->count > redis->max_copies || copies->bytes > redis->max_bytes))
        session_table_remove(copies, copies->oldest);
}

/* ---- the connection ---- */

static void go_down(struct session_redis *redis)
{
    redis_health_down(&redis->health, redis->primary.kind, redis->primary.words);
}

static bool connect_redis(struct session_redis *redis)
{
    bool there = redis_primary_open(&redis->primary);
    if (there)
        redis_health_up(&redis->health);
    else if (!redis->ending)
        go_down(redis);
    return there;
}

/* Whether the connection is open. If it has ended while it was not needed, connects again. */
static bool is_connected(struct session_redis *redis)
{
    return redis_primary_is_open(&redis->primary) || (!redis->health.down && !redis->ending && connect_redis(redis));
}

/* ---- operations ---- */

enum { KEY_BYTES = SESSION_STORED_BYTES + sizeof KEY_PREFIX };

/* The tag that a save compares with. */
static const char *expected_of(const struct session_op *op, size_t *bytes)
{
    *bytes = op->replace ? 1 : op->expected ? sizeof op->expected : 0;
    return op->replace ? "*" : (const char *)&op->expected;
}

/* The index of the last byte to read. The range has one byte more than the limit, to notice longer records. */
static void range_end(const struct session_redis *redis, const struct session_op *op, char out[24])
{
    snprintf(out, 24, "%zu", op->whole ? redis->most_bytes : (size_t)FIRST_BYTES);
}

static bool append_command(struct session_redis *redis, const struct session_op *op, bool whole_script)
{
    struct redis_link *link = redis->primary.link;
    char key[KEY_BYTES], end[24];
    snprintf(key, sizeof key, KEY_PREFIX "%s", op->id);
    range_end(redis, op, end);
    if (op->kind == SESSION_LOAD || op->whole) {
        const char *argv[] = {"GETRANGE", key, "0", end};
        return redis_link_append(link, 4, argv, NULL);
    }
    size_t expected_bytes;
    const char *expected = expected_of(op, &expected_bytes);
    const char *argv[] = {whole_script ? "EVAL" : "EVALSHA",
                          whole_script ? script : redis->primary.sha,
                          "1",
                          key,
                          expected,
                          op->record ? (const char *)&op->record->head : "",
                          redis->ttl_ms,
                          end};
    const size_t bytes[] = {strlen(argv[0]), strlen(argv[1]), 1,
                            strlen(key),     expected_bytes,  op->record ? op->record->bytes : 0,
                            strlen(argv[6]), strlen(end)};
    return redis_link_append(link, 8, argv, bytes);
}

/* The result of a reply. */
enum next { NEXT_DONE, NEXT_AGAIN, NEXT_FAILED /* the connection cannot be used any more */ };

static enum next take_error(struct session_redis *redis, struct session_op *op, const char *words, bool whole_script)
{
    enum redis_trouble kind = redis_trouble_of(words);
    switch (kind) {
    case TROUBLE_NOSCRIPT:
        if (whole_script || op->kind == SESSION_LOAD)
            break;
        redis_health_error(&redis->health, kind);
        return NEXT_AGAIN;
    case TROUBLE_OOM:
        redis_health_error(&redis->health, kind);
        redis_health_full(&redis->health, words);
        op->result = SESSION_FULL;
        return NEXT_DONE;
    case TROUBLE_WRONGTYPE:
        redis_health_error(&redis->health, kind);
        redis_health_damaged(&redis->health, "not even a string");
        op->result = SESSION_DAMAGED;
        return NEXT_DONE;
    default:
        break;
    }
    redis_primary_fail(&redis->primary, kind, words);
    return NEXT_FAILED;
}

/* The printable name of a format. */
static void copy_format(char out[9], const char *bytes)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = isalnum((unsigned char)bytes[i]) ? bytes[i] : '?';
    out[8] = 0;
}

/* Take the stored record from a reply. If it is longer than the range that was read, it is read again as a whole. */
static enum next take_stored(struct session_redis *redis, struct session_op *op, const struct redis_reply *reply)
{
    op->result = op->kind == SESSION_LOAD ? SESSION_DONE : SESSION_CONFLICT;
    size_t bytes = session_record_bytes(reply->str, reply->len);
    if (!op->whole && reply->len > FIRST_BYTES && bytes > FIRST_BYTES && bytes <= redis->most_bytes) {
        op->whole = true;
        return NEXT_AGAIN;
    }
    switch (reply->len ? session_record_read(reply->str, reply->len, op->id, &op->found) : RECORD_GOOD) {
    case RECORD_GOOD:
        if (op->kind == SESSION_SAVE && !op->whole && (op->found ? op->found->head.tag : 0) == op->expected) {
            session_record_release(op->found); /* this is not a conflict */
            redis_primary_fail(&redis->primary, TROUBLE_PROTOCOL, "an answer that cannot be one");
            return NEXT_FAILED;
        }
        return NEXT_DONE;
    case RECORD_NO_MEMORY:
        op->result = SESSION_UNAVAILABLE;
        return NEXT_DONE;
    case RECORD_OTHER_FORMAT:
        copy_format(op->format, reply->str);
        redis_health_damaged(&redis->health, "of another version's format");
        break;
    case RECORD_DAMAGED:
        redis_health_damaged(&redis->health, "no record of it");
        break;
    }
    op->result = SESSION_DAMAGED;
    return NEXT_DONE;
}

static enum next take_reply(struct session_redis *redis, struct session_op *op, const struct redis_reply *reply,
                            bool whole_script)
{
    op->found = NULL;
    *op->format = 0;
    if (reply->type == REDIS_ERROR)
        return take_error(redis, op, reply->str, whole_script);
    if (reply->type != REDIS_STRING) {
        redis_primary_fail(&redis->primary, TROUBLE_PROTOCOL, "an answer that cannot be one");
        return NEXT_FAILED;
    }
    size_t bytes = sizeof op->record->head.tag;
    const char *obeyed = op->record ? (const char *)&op->record->head.tag : expected_of(op, &bytes);
    if (op->kind == SESSION_SAVE && !op->whole && reply->len == bytes && !memcmp(reply->str, obeyed, bytes)) {
        op->result = SESSION_DONE;
        if (op->record)
            redis_health_full(&redis->health, NULL);
        return NEXT_DONE;
    }
    return take_stored(redis, op, reply);
}

static void finish_operation(struct session_redis *redis, struct session_op *op)
{
    pthread_mutex_lock(&redis->lock);
    redis->operations++;
    redis->conflicts += op->result == SESSION_CONFLICT;
    if (op->result != SESSION_DONE && op->result != SESSION_CONFLICT)
        forget_copy(redis, op->id);
    else
        remember_copy(redis, op->id, op->kind == SESSION_SAVE && op->result == SESSION_DONE ? op->record : op->found);
    pthread_mutex_unlock(&redis->lock);
    op->done(op);
}

/* Read the reply to an operation. If there is none, drop the connection. */
static enum next read_reply(struct session_redis *redis, struct session_op *op, int64_t deadline, bool whole_script)
{
    struct redis_reply reply;
    enum next next = NEXT_FAILED;
    if (redis_link_reply(redis->primary.link, &reply, deadline))
        next = take_reply(redis, op, &reply, whole_script);
    else
        redis_primary_fail_link(&redis->primary);
    if (next == NEXT_FAILED) {
        op->result = SESSION_UNAVAILABLE;
        op->found = NULL;
        go_down(redis);
    } else if (next == NEXT_DONE) {
        redis->pause_ms = FIRST_RETRY_MS;
    }
    return next;
}

/* After an error the connection is dropped, because the appended commands must not be sent with the next round. */
static bool send_all(struct session_redis *redis, const struct session_op *ops, int64_t deadline, bool whole_script)
{
    bool good = true;
    for (const struct session_op *op = ops; good && op; op = op->next)
        good = append_command(redis, op, whole_script);
    if (good && redis_link_send(redis->primary.link, deadline))
        return true;
    redis_primary_fail_link(&redis->primary);
    go_down(redis);
    return false;
}

/* Send these operations and end them. Returns the operations that need another round, either because Redis has
   forgotten the script, which is then sent whole, or because a record is long and is then read whole. */
static struct session_op *run_round(struct session_redis *redis, struct session_op *ops, bool whole_script)
{
    int64_t deadline = clock_ns() + ROUND_MS * (int64_t)NS_PER_MS;
    struct session_op *again = NULL, **again_last = &again;
    bool good = is_connected(redis) && send_all(redis, ops, deadline, whole_script);
    for (struct session_op *op = ops, *following; op; op = following) {
        enum next next = NEXT_DONE;
        following = op->next;
        op->result = SESSION_UNAVAILABLE;
        if (good)
            next = read_reply(redis, op, deadline, whole_script);
        good = good && next != NEXT_FAILED;
        if (next == NEXT_AGAIN) {
            *again_last = op;
            op->next = NULL;
            again_last = &op->next;
        } else {
            finish_operation(redis, op);
        }
    }
    return again;
}

static size_t bytes_of(const struct session_op *op)
{
    return op->record ? op->record->bytes : 0;
}

/* Sleep until operations wait, the store ends, or it is time to try to connect again. Does not take the lock. */
static void sleep_until_ops(struct session_redis *redis)
{
    int64_t until_ns = clock_ns() + redis->pause_ms * (int64_t)NS_PER_MS;
    const struct timespec until = {until_ns / 1000000000, until_ns % 1000000000};
    while (!redis->waits && !redis->ending)
        if (redis->primary.link)
            sem_wait(&redis->news);
        else if (sem_clockwait(&redis->news, CLOCK_MONOTONIC, &until) && clock_ns() >= until_ns)
            return;
}

static struct session_op *wait_for_ops(struct session_redis *redis)
{
    struct session_op *ops = NULL, *op;
    sleep_until_ops(redis);
    if (!redis->waits)
        return NULL;
    pthread_mutex_lock(&redis->lock);
    ops = op = redis->first;
    for (size_t i = 1, bytes = op ? bytes_of(op) : 0; op && op->next && i < ROUND_COMMANDS; i++, op = op->next)
        if ((bytes += bytes_of(op->next)) > ROUND_BYTES)
            break;
    if (op) {
        redis->first = op->next;
        op->next = NULL;
    }
    redis->waits = redis->first;
    if (!redis->first)
        redis->last = &redis->first;
    pthread_mutex_unlock(&redis->lock);
    return ops;
}

static void *run_rounds(void *argument)
{
    struct session_redis *redis = argument;
    pthread_setname_np(pthread_self(), "redis");
    connect_redis(redis);
    for (;;) {
        struct session_op *ops = wait_for_ops(redis);
        if (ops) {
            for (bool whole_script = false; ops; whole_script = true)
                ops = run_round(redis, ops, whole_script);
            continue;
        }
        if (redis->ending)
            return NULL;
        if (redis->primary.link)
            continue;
        redis->pause_ms = 2 * redis->pause_ms < LAST_RETRY_MS ? 2 * redis->pause_ms : LAST_RETRY_MS;
        connect_redis(redis);
    }
}

/* ---- the store ---- */

static bool redis_submit(struct session_store *store, struct session_op *op)
{
    struct session_redis *redis = (struct session_redis *)store;
    pthread_mutex_lock(&redis->lock);
    const struct session_entry *copy =
        op->kind == SESSION_LOAD && !op->fresh ? session_table_find(&redis->copies, op->id) : NULL;
    bool off = redis->health.down || redis->ending, too_long = op->record && op->record->bytes > redis->most_bytes;
    bool now = copy || off || too_long, wake = false;
    if (now) {
        op->result = off ? SESSION_UNAVAILABLE : too_long ? SESSION_FULL : SESSION_DONE;
        op->found = op->result == SESSION_DONE ? session_record_use(copy->record) : NULL;
    } else {
        wake = !redis->first;
        op->next = NULL;
        op->whole = false;
        *redis->last = op;
        redis->last = &op->next;
        redis->waits = true;
    }
    pthread_mutex_unlock(&redis->lock);
    if (wake) /* without the lock, because the woken thread needs it at once */
        sem_post(&redis->news);
    return now;
}

/* Redis removes expired records itself. This function removes the copies. */
static size_t redis_expire(struct session_store *store)
{
    struct session_redis *redis = (struct session_redis *)store;
    int64_t now = clock_ns();
    pthread_mutex_lock(&redis->lock);
    while (redis->copies.oldest && redis->copies.oldest->used_ns + redis->ttl_ns <= now)
        session_table_remove(&redis->copies, redis->copies.oldest);
    size_t bytes = redis->copies.bytes;
    pthread_mutex_unlock(&redis->lock);
    return bytes;
}

static void redis_limit(struct session_store *store, size_t bytes)
{
    struct session_redis *redis = (struct session_redis *)store;
    pthread_mutex_lock(&redis->lock);
    redis->max_bytes = bytes;
    pthread_mutex_unlock(&redis->lock);
}

static void redis_metrics(struct session_store *store, struct buffer *out)
{
    struct session_redis *redis = (struct session_redis *)store;
    pthread_mutex_lock(&redis->lock);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"sessions", "gauge", "Sessions that this replica has seen and that have not expired.",
         (double)redis->copies.count},
        {"session_bytes", "gauge", "Memory of the copies of sessions in this replica.", (double)redis->copies.bytes},
        {"session_store_operations_total", "counter", "Reads and writes of sessions.", (double)redis->operations},
        {"session_store_conflicts_total", "counter", "Writes that failed because another replica wrote first.",
         (double)redis->conflicts},
    };
    pthread_mutex_unlock(&redis->lock);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        metrics_text_value(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
    redis_health_metrics(&redis->health, out);
}

static const char *redis_trouble_now(struct session_store *store)
{
    return redis_health_trouble(&((struct session_redis *)store)->health);
}

static void redis_stop(struct session_store *store)
{
    struct session_redis *redis = (struct session_redis *)store;
    pthread_mutex_lock(&redis->lock);
    bool running = !redis->ending;
    redis->ending = true;
    pthread_mutex_unlock(&redis->lock);
    sem_post(&redis->news);
    if (running)
        pthread_join(redis->thread, NULL);
}

static void free_redis(struct session_redis *redis)
{
    redis_primary_close(&redis->primary);
    session_table_close(&redis->copies);
    sem_destroy(&redis->news);
    pthread_mutex_destroy(&redis->lock);
    redis_health_close(&redis->health);
    free(redis);
}

static void redis_close(struct session_store *store)
{
    redis_stop(store);
    free_redis((struct session_redis *)store);
}

static const struct session_store_class class = {redis_submit, redis_expire,      redis_limit, redis_metrics,
                                                 NULL,         redis_trouble_now, redis_stop,  redis_close};

struct session_store *session_redis_open(const struct settings *settings, char *error, size_t error_size)
{
    struct session_redis *redis = calloc(1, sizeof *redis);
    if (!redis)
        return NULL;
    redis->store.class = &class;
    redis->last = &redis->first;
    redis->pause_ms = FIRST_RETRY_MS;
    redis->max_copies = (size_t)settings->session_max;
    redis->max_bytes = (size_t)settings->session_max_bytes;
    redis->most_bytes = redis->max_bytes / 4 < LEAST_MOST  ? LEAST_MOST
                        : redis->max_bytes / 4 > MOST_MOST ? MOST_MOST
                                                           : redis->max_bytes / 4;
    redis->primary.script = script;
    redis->primary.probe_key = KEY_PREFIX;
    redis->primary.ending = &redis->ending;
    redis->primary.most_bytes = redis->most_bytes + FIRST_BYTES;
    redis->ttl_ns = settings->session_ttl_s * 1000 * NS_PER_MS;
    snprintf(redis->ttl_ms, sizeof redis->ttl_ms, "%lld", (long long)settings->session_ttl_s * 1000);
    pthread_mutex_init(&redis->lock, NULL);
    redis_health_open(&redis->health);
    sem_init(&redis->news, 0, 0);
    if (!redis_url_read(settings->session_store, &redis->primary.url))
        snprintf(error, error_size, "the address of Redis cannot be read"); /* the check of the settings has reported it
                                                                               before */
    else if (session_table_open(&redis->copies) && !pthread_create(&redis->thread, NULL, run_rounds, redis))
        return &redis->store;
    free_redis(redis);
    return NULL;
}
