/* The Redis store against a scripted peer, which answers as Redis does, or with errors, late, in pieces, with foreign
   bytes, or at a new address. */
#include "tests/unit/redis_peer.h"
#include "tests/unit/unit.h"

#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/session/session_store.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

/* ---- names ---- */

static atomic_int hanging, lookups;      /* while `hanging`, the lookup of "hang.test" does not return */
static _Atomic uint32_t moving_host = 1; /* N of the address 127.0.0.N of "moving.test" */

/* Replaces getaddrinfo of the C library in this process. */
int getaddrinfo(const char *restrict node, const char *restrict service, const struct addrinfo *restrict hints,
                struct addrinfo **restrict list)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **);
    char address[16];
    *(void **)&real = dlsym(RTLD_NEXT, "getaddrinfo");
    if (!node || !strstr(node, ".test") || (hints && hints->ai_flags & AI_NUMERICHOST))
        return real(node, service, hints, list);
    lookups++;
    while (!strcmp(node, "hang.test") && hanging)
        usleep(1000);
    if (!strcmp(node, "unknown.test"))
        return EAI_AGAIN;
    snprintf(address, sizeof address, "127.0.0.%u", strcmp(node, "moving.test") ? 1 : (unsigned)moving_host);
    return real(address, service, hints, list);
}

/* ---- the store ---- */

static struct session_store *open_store_for(const char *host, int port, int64_t ttl_s)
{
    static char url[64];
    char error[128];
    struct settings settings = {
        .session_store = url, .session_ttl_s = ttl_s, .session_max = 10, .session_max_bytes = 1 << 20};
    snprintf(url, sizeof url, "redis://%s:%d", host, port);
    struct session_store *store = session_redis_open(&settings, error, sizeof error);
    assert_non_null(store);
    return store;
}

static struct session_store *open_store(const char *host, int port)
{
    return open_store_for(host, port, 60);
}

static atomic_int done;
static const char *session_id = "id"; /* id of the next operations */

static void is_done(struct session_op *op)
{
    (void)op;
    done = 1;
}

static bool patient = true; /* repeat failed operations: the peer works, so the machine was busy for 100 ms */
static int repeated;

static enum session_result run_once(struct session_store *store, struct session_op *op)
{
    int64_t end = clock_ns() + 20000 * (int64_t)NS_PER_MS;
    done = 0;
    op->id = session_id;
    op->done = is_done;
    if (session_submit(store, op))
        return op->result;
    while (!done) {
        assert_true(clock_ns() < end);
        usleep(200);
    }
    return op->result;
}

/* Whether a repeated save conflicts only because its first try succeeded. */
static bool was_done(struct session_op *op)
{
    if (op->kind != SESSION_SAVE || op->result != SESSION_CONFLICT)
        return false;
    bool same = op->record ? op->found && op->found->head.tag == op->record->head.tag : !op->found;
    if (same)
        session_record_release(op->found);
    return same;
}

static enum session_result run(struct session_store *store, struct session_op *op)
{
    enum session_result result = run_once(store, op);
    for (int i = 0; patient && result == SESSION_UNAVAILABLE && i < 2000; i++) {
        usleep(5000);
        repeated++;
        result = run_once(store, op);
        if (was_done(op))
            return SESSION_DONE;
    }
    return result;
}

/* Load the session, and release the record. */
static enum session_result load(struct session_store *store, uint64_t *step)
{
    struct session_op op = {.kind = SESSION_LOAD, .fresh = true};
    enum session_result result = run(store, &op);
    if (result == SESSION_DONE) {
        *step = op.found ? op.found->head.step : 0;
        session_record_release(op.found);
    }
    return result;
}

static struct session_record *make(uint64_t step, size_t rows)
{
    struct session_head head = {.tag = session_tag(), .step = step, .rows = rows, .state_floats = 4};
    struct session_record *record = session_record_new(&head);
    memset(record->data, 0, record->bytes - sizeof head);
    session_record_seal(record, session_id);
    return record;
}

static enum session_result save(struct session_store *store, struct session_record *record, uint64_t expected)
{
    struct session_op op = {.kind = SESSION_SAVE, .record = record, .expected = expected};
    enum session_result result = run(store, &op);
    if (result == SESSION_CONFLICT)
        session_record_release(op.found);
    return result;
}

static double value_of(struct session_store *store, const char *name)
{
    struct buffer out = {.limit = 1 << 20,
                         .share = &(struct memory_share){.memory = &(struct memory){.limit = 1 << 20}}};
    char line[128];
    session_store_metrics(store, &out);
    buffer_bytes(&out, "", 1);
    snprintf(line, sizeof line, "\n%s ", name);
    const char *at = strstr(out.text, line);
    double value = at ? atof(at + strlen(line)) : -1;
    buffer_close(&out);
    return value;
}

/* Wait until a load succeeds; returns the milliseconds. */
static double until_up(struct session_store *store)
{
    int64_t began = clock_ns();
    struct session_op op = {.kind = SESSION_LOAD, .fresh = true};
    while (run_once(store, &op) != SESSION_DONE) {
        assert_true(clock_ns() - began < 20000 * (int64_t)NS_PER_MS);
        usleep(2000);
    }
    session_record_release(op.found);
    return (double)(clock_ns() - began) / NS_PER_MS;
}

/* Waits for this trouble, because an attempt to connect may still run. */
static void assert_trouble(struct session_store *store, const char *text)
{
    const char *trouble = session_store_trouble(store);
    for (int i = 0; (!trouble || strcmp(trouble, text)) && i < 2000; i++) {
        usleep(5000);
        trouble = session_store_trouble(store);
    }
    assert_non_null(trouble);
    assert_string_equal(trouble, text);
}

static void records_are_stored_and_loaded(void **state)
{
    (void)state;
    struct peer peer;
    uint64_t step = 9;
    peer_start(&peer, 1, 0);
    for (int pieces = 0; pieces < 2; pieces++) {
        peer.piece_bytes = pieces ? 7 : 0;
        peer_put(&peer, "", 0);
        struct session_store *store = open_store("127.0.0.1", peer.port);
        struct session_record *a = make(1, 2), *b = make(2, 6000); /* b is longer than the first read */
        assert_int_equal(load(store, &step), SESSION_DONE);
        assert_int_equal(step, 0);
        assert_int_equal(save(store, a, 0), SESSION_DONE);
        assert_int_equal(load(store, &step), SESSION_DONE);
        assert_int_equal(step, 1);
        peer.knows_script = false;
        peer.piece_bytes = 0; /* 100 KB in small pieces take long */
        assert_int_equal(save(store, b, 77), SESSION_CONFLICT);
        peer.knows_script = false;
        assert_int_equal(save(store, b, a->head.tag), SESSION_DONE);
        assert_int_equal(load(store, &step), SESSION_DONE);
        assert_int_equal(step, 2);
        assert_int_equal(peer_bytes(&peer), b->bytes);
        assert_int_equal(save(store, NULL, b->head.tag), SESSION_DONE);
        assert_int_equal(peer_bytes(&peer), 0);
        assert_int_equal(save(store, NULL, 0), SESSION_DONE); /* to delete an absent session succeeds */
        session_record_release(a);
        session_record_release(b);
        session_store_close(store);
    }
    assert_true(peer.connections <= 2 + repeated);
    peer_stop(&peer);
}

static void a_damaged_record_is_an_error_of_its_session_alone(void **state)
{
    (void)state;
    struct peer peer;
    uint64_t step;
    peer_start(&peer, 1, 0);
    struct session_store *store = open_store("127.0.0.1", peer.port);
    struct session_record *record = make(1, 2);
    char bytes[1 << 17] = "cellses2";
    for (int i = 0; i < 6; i++) {
        memcpy(bytes, i == 0 ? "cellses2" : "01234567", 8);
        if (i == 4) /* a valid head, and other bytes after it */
            memcpy(bytes, &record->head, sizeof record->head);
        peer.error = i == 5 ? "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n" : NULL;
        peer_put(&peer, bytes, i == 1 ? 8 : i == 2 ? sizeof bytes : i == 3 ? 20 : 1000);
        struct session_op op = {.kind = SESSION_LOAD, .fresh = true};
        assert_int_equal(run(store, &op), SESSION_DAMAGED);
        assert_null(op.found);
        assert_string_equal(op.format, i == 0 ? "cellses2" : "");
        if (i < 5)
            assert_int_equal(save(store, record, 5), SESSION_DAMAGED); /* with an expected tag */
        peer.error = NULL;
        op = (struct session_op){.kind = SESSION_SAVE, .replace = true, .record = record};
        assert_int_equal(run(store, &op), SESSION_DONE);
        assert_int_equal(load(store, &step), SESSION_DONE);
        assert_int_equal(step, 1);
        op = (struct session_op){.kind = SESSION_SAVE, .replace = true};
        peer_put(&peer, bytes, 8);
        assert_int_equal(run(store, &op), SESSION_DONE);
        assert_int_equal(peer_bytes(&peer), 0);
    }
    assert_true(peer.connections <= 1 + repeated);
    assert_true(value_of(store, "cellserve_session_store_damaged_total") == 11);
    assert_null(session_store_trouble(store));
    session_record_release(record);
    session_store_close(store);
    peer_stop(&peer);
}

/* Errors that concern the whole server: the store is down and counts them. When they are over, it connects again and is
   up. */
static void errors_drop_the_connection(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *words;
    } errors[] = {
        {"readonly", "-READONLY You can't write against a read only replica.\r\n"},
        {"readonly", "-ERR Error running script (call to f_1): @user_script:1: -READONLY You can't write\r\n"},
        {"loading", "-LOADING Redis is loading the dataset in memory\r\n"},
        {"masterdown", "-MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.\r\n"},
        {"noauth", "-NOAUTH Authentication required.\r\n"},
        {"misconf", "-MISCONF Redis is configured to save RDB snapshots\r\n"},
        {"moved", "-MOVED 3999 127.0.0.1:6381\r\n"},
        {"busy", "-BUSY Redis is busy running a script.\r\n"},
        {"noreplicas", "-NOREPLICAS Not enough good replicas to write.\r\n"},
        {"other", "-ERR whatever\r\n"},
        {"protocol", ":1\r\n"},
        {"protocol", "*1\r\n:1\r\n"},
        {"protocol", "$-1\r\n"},
        {"protocol", "garbage\r\n"},
    };
    struct peer peer;
    uint64_t step;
    peer_start(&peer, 1, 0);
    struct session_store *store = open_store("127.0.0.1", peer.port);
    for (size_t i = 0; i < sizeof errors / sizeof *errors; i++) {
        char name[80], text[40];
        until_up(store);
        int before = peer.connections;
        snprintf(name, sizeof name, "cellserve_session_store_errors_total{kind=\"%s\"}", errors[i].kind);
        snprintf(text, sizeof text, "redis: %s", errors[i].kind);
        double counted = value_of(store, name);
        peer.greeting_error = i % 2 ? errors[i].words : NULL; /* some errors also occur when the store connects */
        peer.write_error = errors[i].words;
        peer.error = errors[i].words;
        patient = false;
        assert_int_equal(load(store, &step), SESSION_UNAVAILABLE);
        patient = true;
        assert_trouble(store, text);
        assert_true(value_of(store, "cellserve_session_store_up") == 0);
        assert_true(value_of(store, name) > counted);
        peer.greeting_error = peer.write_error = peer.error = NULL;
        assert_true(until_up(store) < 5000);
        assert_true(peer.connections > before);
        assert_null(session_store_trouble(store));
    }
    peer.error = "-OOM command not allowed when used memory > 'maxmemory'.\r\n";
    int before = peer.connections;
    struct session_record *record = make(1, 1);
    assert_int_equal(save(store, record, 0), SESSION_FULL);
    peer.error = NULL;
    assert_int_equal(save(store, record, 0), SESSION_DONE);
    assert_true(peer.connections <= before + repeated);
    session_record_release(record);
    session_store_close(store);
    peer_stop(&peer);
}

static void late_answers_are_not_used(void **state)
{
    (void)state;
    struct peer peer;
    uint64_t step;
    peer_start(&peer, 1, 0);
    struct session_store *store = open_store("127.0.0.1", peer.port);
    struct session_record *record = make(1, 1);
    until_up(store);
    assert_int_equal(save(store, record, 0), SESSION_DONE);
    peer.late_ms = 250;
    patient = false;
    assert_int_equal(load(store, &step), SESSION_UNAVAILABLE);
    patient = true;
    assert_trouble(store, "redis: timeout");
    peer.late_ms = 0;
    until_up(store);
    assert_int_equal(load(store, &step), SESSION_DONE);
    assert_int_equal(step, 1);
    session_record_release(record);
    session_store_close(store);
    peer_stop(&peer);
}

/* The name is resolved again, so the store changes from a former primary to the new one. */
static void a_failover_is_followed(void **state)
{
    (void)state;
    struct peer old, new;
    moving_host = 1;
    peer_start(&old, 1, 0);
    peer_start(&new, 2, old.port);
    struct session_store *store = open_store("moving.test", old.port);
    until_up(store);
    assert_int_equal(old.connections, 1);
    old.write_error = "-READONLY You can't write against a read only replica.\r\n";
    moving_host = 2;
    struct session_record *record = make(1, 1);
    patient = false;
    assert_int_equal(save(store, record, 0), SESSION_UNAVAILABLE);
    patient = true;
    assert_true(until_up(store) < 5000);
    assert_int_equal(save(store, record, 0), SESSION_DONE);
    assert_int_equal(peer_bytes(&new), record->bytes);
    session_record_release(record);
    session_store_close(store);
    peer_stop(&old);
    peer_stop(&new);
}

static void a_hanging_resolver_does_not_block_requests(void **state)
{
    (void)state;
    struct peer peer;
    uint64_t step;
    peer_start(&peer, 1, 0);
    hanging = 1;
    lookups = 0;
    struct session_store *store = open_store("hang.test", peer.port);
    int64_t began = clock_ns();
    patient = false;
    session_store_stop(store);
    assert_true(clock_ns() - began < 1000 * (int64_t)NS_PER_MS);
    session_store_close(store);
    store = open_store("hang.test", peer.port);
    assert_int_equal(load(store, &step), SESSION_UNAVAILABLE); /* after 2 s */
    assert_trouble(store, "redis: resolve");
    assert_int_equal(lookups, 2); /* no second lookup while one runs */
    hanging = 0;
    until_up(store);
    session_store_close(store);
    store = open_store("unknown.test", peer.port);
    assert_int_equal(load(store, &step), SESSION_UNAVAILABLE);
    assert_trouble(store, "redis: resolve");
    patient = true;
    session_store_close(store);
    peer_stop(&peer);
}

/* The store keeps copies of the latest records, within bounds and for the lifetime of a session. */
static void copies_are_bounded(void **state)
{
    (void)state;
    static const char *const ids[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11"};
    struct peer peer;
    peer_start(&peer, 1, 0);
    struct session_store *store = open_store("127.0.0.1", peer.port);
    until_up(store);
    for (size_t i = 0; i < 12; i++) {
        session_id = ids[i];
        peer_put(&peer, "", 0);
        struct session_record *record = make(i, 10);
        assert_int_equal(save(store, record, 0), SESSION_DONE);
        session_record_release(record);
    }
    assert_true(value_of(store, "cellserve_sessions") == 10);
    double bytes = value_of(store, "cellserve_session_bytes");
    assert_true(bytes > 10 * 10 * 16 && bytes == (double)session_store_expire(store));
    peer.error = "-ERR nobody asks\r\n";
    struct session_op op = {.kind = SESSION_LOAD};
    assert_int_equal(run_once(store, &op), SESSION_DONE); /* the copy of the last record */
    assert_int_equal(op.found->head.step, 11);
    session_record_release(op.found);
    peer.error = NULL;
    session_store_limit(store, (size_t)bytes / 2); /* with the next record, the least recently used copies are
                                                      dropped */
    session_id = "11";
    peer_put(&peer, "", 0);
    struct session_record *record = make(12, 10);
    assert_int_equal(save(store, record, 0), SESSION_DONE);
    assert_true(value_of(store, "cellserve_sessions") <= 5 && value_of(store, "cellserve_sessions") >= 4);
    session_record_release(record);
    session_store_close(store);
    store = open_store_for("127.0.0.1", peer.port, 0); /* sessions expire at once */
    until_up(store);
    peer_put(&peer, "", 0);
    record = make(1, 1);
    assert_int_equal(save(store, record, 0), SESSION_DONE);
    assert_int_equal(session_store_expire(store), 0);
    assert_true(value_of(store, "cellserve_sessions") == 0);
    session_record_release(record);
    session_store_close(store);
    session_id = "id";
    peer_stop(&peer);
}

/* Records above the limit are not sent. A stopped store is unavailable. */
static void records_that_are_too_large_are_refused(void **state)
{
    (void)state;
    struct peer peer;
    uint64_t step;
    peer_start(&peer, 1, 0);
    struct session_store *store = open_store("127.0.0.1", peer.port);
    until_up(store);
    struct session_record *huge = make(1, 300000), *small = make(1, 1); /* 7.5 MB, above the limit of 4 MiB */
    struct session_op op = {.kind = SESSION_SAVE, .id = "id", .record = huge};
    assert_true(session_submit(store, &op));
    assert_int_equal(op.result, SESSION_FULL);
    assert_int_equal(peer_bytes(&peer), 0);
    session_store_stop(store);
    op = (struct session_op){.kind = SESSION_SAVE, .id = "id", .record = small};
    assert_true(session_submit(store, &op));
    assert_int_equal(op.result, SESSION_UNAVAILABLE);
    patient = false;
    assert_int_equal(load(store, &step), SESSION_UNAVAILABLE);
    patient = true;
    session_record_release(huge);
    session_record_release(small);
    session_store_close(store);
    peer_stop(&peer);
    char error[128] = "", url[] = "redis://";
    const struct settings settings = {.session_store = url, .session_ttl_s = 1, .session_max = 1};
    assert_null(session_redis_open(&settings, error, sizeof error));
    assert_string_equal(error, "the address of Redis cannot be read");
}

int main(void)
{
    log_setup("text", "error");
    const struct CMUnitTest tests[] = {cmocka_unit_test(records_are_stored_and_loaded),
                                       cmocka_unit_test(a_damaged_record_is_an_error_of_its_session_alone),
                                       cmocka_unit_test(errors_drop_the_connection),
                                       cmocka_unit_test(late_answers_are_not_used),
                                       cmocka_unit_test(a_failover_is_followed),
                                       cmocka_unit_test(a_hanging_resolver_does_not_block_requests),
                                       cmocka_unit_test(copies_are_bounded),
                                       cmocka_unit_test(records_that_are_too_large_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
