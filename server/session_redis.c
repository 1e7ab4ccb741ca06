/* Sessions in Redis, where any replica finds them. One thread has the connection: it sends what has gathered meanwhile in
   one go and reads the replies in that order. After any error or time-out the connection is dropped, so no reply can be
   taken for that of another command. */
#include "clock.h"
#include "log.h"
#include "metrics.h"
#include "redis_link.h"
#include "session_store.h"
#include "session_table.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum {
    CONNECT_MS = 200,
    OPERATION_MS = 100, /* without a byte */
    ROUND_MS = 1000,    /* for all commands that were sent in one go */
    ROUND_COMMANDS = 128,
    FIRST_RETRY_MS = 50,
    LAST_RETRY_MS = 500, /* the pause before the next attempt doubles up to this */
};

/* Compare and set: the tag of a record is in its bytes 16 to 23. Returns what shows that this very command was obeyed: the
   new tag, or that of what was deleted; else what there is. */
static const char script[] =
    "if redis.call('GETRANGE', KEYS[1], 16, 23) ~= ARGV[1] then return redis.call('GET', KEYS[1]) end "
    "if ARGV[2] == '' then redis.call('DEL', KEYS[1]) return ARGV[1] end "
    "redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return string.sub(ARGV[2], 17, 24)";
_Static_assert(offsetof(struct session_head, tag) == 16, "the script knows where the tag is");

struct session_redis {
    struct session_store store;
    /* the thread's own */
    struct redis_url url;
    struct redis_link *link; /* NULL: not connected */
    char sha[41];            /* of the script */
    char ttl_ms[24];
    int64_t pause_ms;
    pthread_t thread;

    pthread_mutex_t lock; /* guards all below; no other lock is taken under it */
    pthread_cond_t news;
    struct session_op *first, **last;
    atomic_bool ending;
    bool down;
    char trouble[160];           /* why it is down */
    struct session_table copies; /* of records as they were when last seen here */
    size_t max_copies, max_bytes;
    int64_t ttl_ns;
    uint64_t operations, conflicts, errors;
};

/* ---- copies, under the lock ---- */

static void forget(struct session_redis *redis, const char *id)
{
    struct session_entry *entry = session_table_find(&redis->copies, id);
    if (entry)
        session_table_remove(&redis->copies, entry);
}

static void remember(struct session_redis *redis, const char *id, struct session_record *record)
{
    struct session_table *copies = &redis->copies;
    if (!record || !session_table_put(copies, id, record, clock_ns())) {
        forget(redis, id);
        return;
    }
    while (copies->oldest && (copies->count > redis->max_copies || copies->bytes > redis->max_bytes))
        session_table_remove(copies, copies->oldest);
}

/* ---- the connection ---- */

static void disconnect(struct session_redis *redis)
{
    redis_link_close(redis->link);
    redis->link = NULL;
}

static void go_down(struct session_redis *redis, const char *why)
{
    pthread_mutex_lock(&redis->lock);
    bool was_up = !redis->down;
    redis->down = true;
    redis->errors++;
    snprintf(redis->trouble, sizeof redis->trouble, "redis: %.140s", why);
    pthread_mutex_unlock(&redis->lock);
    if (was_up)
        log_line(LOG_WARN, "sessions: redis: %s; requests with a session get 503 until it is back", why);
    disconnect(redis);
}

static void come_up(struct session_redis *redis)
{
    pthread_mutex_lock(&redis->lock);
    bool was_down = redis->down;
    redis->down = false;
    pthread_mutex_unlock(&redis->lock);
    redis->pause_ms = FIRST_RETRY_MS;
    if (was_down)
        log_line(LOG_INFO, "sessions: redis is there");
}

/* One command of the handshake; false with the reason logged by go_down. */
static bool ask(struct session_redis *redis, struct redis_reply *reply, size_t argc, const char *const *argv)
{
    int64_t deadline = clock_ns() + OPERATION_MS * (int64_t)NS_PER_MS;
    struct redis_link *link = redis->link;
    bool answered = redis_link_append(link, argc, argv, NULL) && redis_link_send(link, deadline) &&
                    redis_link_reply(link, reply, deadline);
    bool good = answered && reply->type != REDIS_ERROR;
    if (!good)
        go_down(redis, answered ? reply->str : link->error);
    return good;
}

static bool greet(struct session_redis *redis)
{
    const struct redis_url *url = &redis->url;
    struct redis_reply reply;
    const char *with_user[] = {"AUTH", url->user, url->password}, *without[] = {"AUTH", url->password};
    if (*url->password && !(*url->user ? ask(redis, &reply, 3, with_user) : ask(redis, &reply, 2, without)))
        return false;
    if (strcmp(url->db, "0") && !ask(redis, &reply, 2, (const char *[]){"SELECT", url->db}))
        return false;
    if (!ask(redis, &reply, 3, (const char *[]){"SCRIPT", "LOAD", script}))
        return false;
    bool good = reply.type == REDIS_STRING && reply.len == 40;
    if (good)
        memcpy(redis->sha, reply.str, 41);
    else
        go_down(redis, "this is no Redis");
    return good;
}

static bool connect_redis(struct session_redis *redis)
{
    char error[128];
    redis->link = redis_link_open(&redis->url, CONNECT_MS, OPERATION_MS, redis->max_bytes, error, sizeof error);
    if (!redis->link) {
        go_down(redis, error);
        return false;
    }
    if (!greet(redis))
        return false;
    come_up(redis);
    return true;
}

/* Whether the connection is there still, or again. Between rounds there is nothing to be read from it but its end. */
static bool is_connected(struct session_redis *redis)
{
    if (redis->link && !redis_link_idles(redis->link))
        disconnect(redis);
    return redis->link || connect_redis(redis);
}

/* ---- operations ---- */

enum { KEY_BYTES = SESSION_ID_BYTES + 24 };

static void key_of(const struct session_op *op, char key[KEY_BYTES])
{
    snprintf(key, KEY_BYTES, "cellserve:session:%s", op->id);
}

static bool append(struct session_redis *redis, const struct session_op *op, bool whole_script)
{
    char key[KEY_BYTES];
    key_of(op, key);
    if (op->kind == SESSION_LOAD) {
        return redis_link_append(redis->link, 2, (const char *[]){"GET", key}, NULL);
    }
    const char *argv[] = {whole_script ? "EVAL" : "EVALSHA",
                          whole_script ? script : redis->sha,
                          "1",
                          key,
                          (const char *)&op->expected,
                          op->record ? (const char *)&op->record->head : "",
                          redis->ttl_ms};
    const size_t bytes[] = {strlen(argv[0]),
                            strlen(argv[1]),
                            1,
                            strlen(key),
                            op->expected ? sizeof op->expected : 0,
                            op->record ? op->record->bytes : 0,
                            strlen(redis->ttl_ms)};
    return redis_link_append(redis->link, 7, argv, bytes);
}

/* What there is, as a reply shows it. False: that is no record of this session. */
static bool read_record(struct session_op *op, const struct redis_reply *reply)
{
    op->found = NULL;
    if (reply->type == REDIS_NIL)
        return true;
    if (reply->type == REDIS_STRING)
        op->found = session_record_read(reply->str, reply->len, op->id);
    return op->found != NULL;
}

/* False: the reply cannot be one to this command. */
static bool take_reply(struct session_op *op, const struct redis_reply *reply)
{
    uint64_t tag = op->kind == SESSION_LOAD ? 0 : op->record ? op->record->head.tag : op->expected;
    if (reply->type == REDIS_ERROR) {
        op->result = strstr(reply->str, "OOM") ? SESSION_FULL : SESSION_UNAVAILABLE;
        log_line(LOG_DEBUG, "sessions: redis: %s", reply->str);
        return true;
    }
    if (op->kind == SESSION_SAVE && reply->type == REDIS_STRING && reply->len == sizeof tag) {
        op->result = SESSION_DONE;
        return !memcmp(reply->str, &tag, sizeof tag);
    }
    op->result = op->kind == SESSION_LOAD ? SESSION_DONE : SESSION_CONFLICT;
    if (!read_record(op, reply))
        return false;
    bool as_expected = (op->found ? op->found->head.tag : 0) == op->expected;
    if (op->kind == SESSION_LOAD || !as_expected)
        return true;
    session_record_release(op->found); /* that is no conflict */
    return false;
}

static void finish(struct session_redis *redis, struct session_op *op)
{
    pthread_mutex_lock(&redis->lock);
    redis->operations++;
    redis->conflicts += op->result == SESSION_CONFLICT;
    if (op->result == SESSION_UNAVAILABLE || op->result == SESSION_FULL)
        forget(redis, op->id);
    else
        remember(redis, op->id, op->kind == SESSION_SAVE && op->result == SESSION_DONE ? op->record : op->found);
    pthread_mutex_unlock(&redis->lock);
    op->done(op);
}

/* The reply to an operation; the script is sent whole where Redis has forgotten it. False: the connection is of no use. */
static bool settle(struct session_redis *redis, struct session_op *op, int64_t deadline, bool *unknown_script)
{
    struct redis_reply reply;
    bool answered = redis_link_reply(redis->link, &reply, deadline);
    *unknown_script = answered && reply.type == REDIS_ERROR && !strncmp(reply.str, "NOSCRIPT", 8);
    bool good = answered && (*unknown_script || take_reply(op, &reply));
    if (!good) {
        go_down(redis, answered ? "an answer that cannot be one" : redis->link->error);
        op->result = SESSION_UNAVAILABLE;
        op->found = NULL;
    }
    return good;
}

/* Send these operations, at most ROUND_COMMANDS, and end all of them but those that need the script whole, which are
   returned. */
static struct session_op *run_round(struct session_redis *redis, struct session_op *ops, bool whole_script)
{
    int64_t deadline = clock_ns() + ROUND_MS * (int64_t)NS_PER_MS;
    struct session_op *again = NULL, **again_last = &again;
    bool connected = is_connected(redis), good = connected;
    for (struct session_op *op = ops; good && op; op = op->next)
        good = append(redis, op, whole_script);
    good = good && redis_link_send(redis->link, deadline);
    if (connected && !good) /* what was not sent is not to go with the next round */
        go_down(redis, redis->link->error);
    for (struct session_op *op = ops, *next; op; op = next) {
        bool unknown_script = false;
        next = op->next;
        op->result = SESSION_UNAVAILABLE;
        if (good)
            good = settle(redis, op, deadline, &unknown_script);
        if (unknown_script && !whole_script) {
            *again_last = op;
            op->next = NULL;
            again_last = &op->next;
        } else {
            finish(redis, op);
        }
    }
    return again;
}

/* Wait for operations, or for the time to try to connect again. */
static struct session_op *wait_for_ops(struct session_redis *redis)
{
    struct session_op *ops = NULL, *op;
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + redis->pause_ms * (int64_t)NS_PER_MS;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    pthread_mutex_lock(&redis->lock);
    while (!redis->first && !redis->ending)
        if (redis->link)
            pthread_cond_wait(&redis->news, &redis->lock);
        else if (pthread_cond_timedwait(&redis->news, &redis->lock, &until))
            break;
    ops = op = redis->first;
    for (size_t i = 1; op && op->next && i < ROUND_COMMANDS; i++)
        op = op->next;
    if (op) {
        redis->first = op->next;
        op->next = NULL;
    }
    if (!redis->first)
        redis->last = &redis->first;
    pthread_mutex_unlock(&redis->lock);
    return ops;
}

static void *run(void *argument)
{
    struct session_redis *redis = argument;
    connect_redis(redis);
    for (;;) {
        struct session_op *ops = wait_for_ops(redis);
        if (ops) {
            struct session_op *again = run_round(redis, ops, false);
            if (again)
                run_round(redis, again, true);
            continue;
        }
        if (redis->ending)
            return NULL;
        if (redis->link)
            continue;
        redis->pause_ms = 2 * redis->pause_ms < LAST_RETRY_MS ? 2 * redis->pause_ms : LAST_RETRY_MS;
        connect_redis(redis);
    }
}

/* ---- the store ---- */

static bool submit(struct session_store *store, struct session_op *op)
{
    struct session_redis *redis = (struct session_redis *)store;
    pthread_mutex_lock(&redis->lock);
    const struct session_entry *copy =
        op->kind == SESSION_LOAD && !op->fresh ? session_table_find(&redis->copies, op->id) : NULL;
    bool now = copy || redis->down || redis->ending;
    if (now) {
        op->result = redis->down || redis->ending ? SESSION_UNAVAILABLE : SESSION_DONE;
        op->found = op->result == SESSION_DONE ? session_record_use(copy->record) : NULL;
    } else {
        op->next = NULL;
        *redis->last = op;
        redis->last = &op->next;
        pthread_cond_signal(&redis->news);
    }
    pthread_mutex_unlock(&redis->lock);
    return now;
}

/* Redis itself drops what has expired; here it is the copies. */
static void expire(struct session_store *store)
{
    struct session_redis *redis = (struct session_redis *)store;
    int64_t now = clock_ns();
    pthread_mutex_lock(&redis->lock);
    while (redis->copies.oldest && redis->copies.oldest->used_ns + redis->ttl_ns <= now)
        session_table_remove(&redis->copies, redis->copies.oldest);
    pthread_mutex_unlock(&redis->lock);
}

static void write_metrics(struct session_store *store, struct buffer *out)
{
    struct session_redis *redis = (struct session_redis *)store;
    pthread_mutex_lock(&redis->lock);
    const struct {
        const char *name, *type, *help;
        double value;
    } rows[] = {
        {"sessions", "gauge", "Sessions that this replica has seen and that have not expired.",
         (double)redis->copies.count},
        {"session_bytes", "gauge", "Memory of the copies of their states.", (double)redis->copies.bytes},
        {"session_store_up", "gauge", "1 while Redis answers.", !redis->down},
        {"session_store_operations_total", "counter", "Reads and writes of sessions.", (double)redis->operations},
        {"session_store_conflicts_total", "counter", "Writes that another replica had forestalled.",
         (double)redis->conflicts},
        {"session_store_errors_total", "counter", "Connections to Redis that failed or were given up.",
         (double)redis->errors},
    };
    pthread_mutex_unlock(&redis->lock);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        metrics_value(out, rows[i].name, rows[i].type, rows[i].help, rows[i].value);
}

static const char *trouble(struct session_store *store)
{
    struct session_redis *redis = (struct session_redis *)store;
    static _Thread_local char text[sizeof redis->trouble];
    pthread_mutex_lock(&redis->lock);
    bool down = redis->down;
    memcpy(text, redis->trouble, sizeof text);
    pthread_mutex_unlock(&redis->lock);
    return down ? text : NULL;
}

static void stop(struct session_store *store)
{
    struct session_redis *redis = (struct session_redis *)store;
    pthread_mutex_lock(&redis->lock);
    bool running = !redis->ending;
    redis->ending = true;
    pthread_cond_signal(&redis->news);
    pthread_mutex_unlock(&redis->lock);
    if (running)
        pthread_join(redis->thread, NULL);
}

static void free_redis(struct session_redis *redis)
{
    disconnect(redis);
    session_table_close(&redis->copies);
    pthread_cond_destroy(&redis->news);
    pthread_mutex_destroy(&redis->lock);
    free(redis);
}

static void close_redis(struct session_store *store)
{
    stop(store);
    free_redis((struct session_redis *)store);
}

static const struct session_store_class class = {submit, expire, write_metrics, trouble, stop, close_redis};

struct session_store *session_redis_open(const struct settings *settings, char *error, size_t error_size)
{
    struct session_redis *redis = calloc(1, sizeof *redis);
    pthread_condattr_t monotonic;
    if (!redis)
        return NULL;
    redis->store.class = &class;
    redis->last = &redis->first;
    redis->pause_ms = FIRST_RETRY_MS;
    redis->max_copies = (size_t)settings->session_max;
    redis->max_bytes = (size_t)settings->session_max_bytes;
    redis->ttl_ns = settings->session_ttl_s * 1000 * NS_PER_MS;
    snprintf(redis->ttl_ms, sizeof redis->ttl_ms, "%lld", (long long)settings->session_ttl_s * 1000);
    pthread_mutex_init(&redis->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&redis->news, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (!redis_url_read(settings->session_store, &redis->url))
        snprintf(error, error_size, "the address of Redis cannot be read"); /* the settings' check has said so before */
    else if (session_table_open(&redis->copies) && !pthread_create(&redis->thread, NULL, run, redis))
        return &redis->store;
    free_redis(redis);
    return NULL;
}
