/* The store in memory: compare and set, bounds, expiry, and several threads that use one session. */
#include "tests/unit/unit.h"

#include "server/session/session_store.h"

#include <pthread.h>

static struct session_store *open_store(int64_t ttl_s, int64_t most, int64_t bytes)
{
    char error[128], memory[] = "memory";
    struct settings settings = {
        .session_store = memory, .session_ttl_s = ttl_s, .session_max = most, .session_max_bytes = bytes};
    struct session_store *store = session_store_open(&settings, error, sizeof error);
    assert_non_null(store);
    return store;
}

static struct session_record *make(uint64_t step, size_t rows)
{
    struct session_head head = {.tag = session_tag(), .step = step, .rows = rows, .state_floats = 4};
    struct session_record *record = session_record_new(&head);
    memset(record->data, 0, record->bytes - sizeof head);
    session_record_seal(record, "id");
    return record;
}

static enum session_result load(struct session_store *store, const char *id, uint64_t *step, uint64_t *tag)
{
    struct session_op op = {.kind = SESSION_LOAD, .id = id};
    assert_true(session_submit(store, &op));
    *step = op.found ? op.found->head.step : 0;
    *tag = op.found ? op.found->head.tag : 0;
    session_record_release(op.found);
    return op.result;
}

/* Save a record of this step (0: delete). *tag is the expected tag, and afterwards that of the stored record. */
static enum session_result save(struct session_store *store, const char *id, uint64_t step, size_t rows, uint64_t *tag)
{
    struct session_record *record = step ? make(step, rows) : NULL;
    struct session_op op = {.kind = SESSION_SAVE, .id = id, .record = record, .expected = *tag};
    assert_true(session_submit(store, &op));
    if (op.result == SESSION_DONE)
        *tag = record ? record->head.tag : 0;
    else if (op.result == SESSION_CONFLICT)
        *tag = op.found ? op.found->head.tag : 0;
    session_record_release(op.found);
    session_record_release(record);
    return op.result;
}

static double value_of(struct session_store *store, const char *name)
{
    struct buffer out = {.limit = 1 << 16,
                         .share = &(struct memory_share){.memory = &(struct memory){.limit = 1 << 20}}};
    char line[128];
    session_store_metrics(store, &out);
    buffer_bytes(&out, "", 1);
    snprintf(line, sizeof line, "\ncellserve_%s ", name);
    const char *at = strstr(out.text, line);
    double value = at ? atof(at + strlen(line)) : -1;
    buffer_close(&out);
    return value;
}

static void saves_compare_and_set(void **state)
{
    (void)state;
    struct session_store *store = open_store(60, 10, 1 << 20);
    uint64_t tag = 0, step, found, stale;
    assert_int_equal(load(store, "a", &step, &found), SESSION_DONE);
    assert_int_equal(found, 0);
    assert_int_equal(save(store, "a", 1, 1, &tag), SESSION_DONE);
    stale = tag;
    assert_int_equal(save(store, "a", 2, 1, &tag), SESSION_DONE);
    assert_int_equal(load(store, "a", &step, &found), SESSION_DONE);
    assert_int_equal(step, 2);
    assert_int_equal(found, tag);
    assert_int_equal(save(store, "a", 3, 1, &stale), SESSION_CONFLICT); /* gives the stored record's tag */
    assert_int_equal(stale, tag);
    uint64_t none = 0;
    assert_int_equal(save(store, "a", 3, 1, &none), SESSION_CONFLICT); /* a save as for a new session */
    assert_int_equal(none, tag);
    uint64_t other = 5;
    assert_int_equal(save(store, "b", 1, 1, &other), SESSION_CONFLICT); /* the session does not exist */
    assert_int_equal(other, 0);
    assert_int_equal(load(store, "a", &step, &found), SESSION_DONE);
    assert_int_equal(step, 2);
    assert_int_equal(save(store, "a", 0, 0, &tag), SESSION_DONE); /* deleted */
    assert_int_equal(save(store, "a", 0, 0, &tag), SESSION_DONE); /* to delete an absent session succeeds */
    assert_int_equal(load(store, "a", &step, &found), SESSION_DONE);
    assert_int_equal(found, 0);
    assert_true(value_of(store, "sessions") == 0 && value_of(store, "session_bytes") == 0);
    assert_null(session_store_trouble(store));
    session_store_stop(store); /* does nothing in this store */
    session_store_close(store);
    session_store_close(NULL);
}

static void number_is_bounded(void **state)
{
    (void)state;
    struct session_store *store = open_store(60, 2, 1 << 20);
    uint64_t a = 0, b = 0, c = 0;
    assert_int_equal(save(store, "a", 1, 1, &a), SESSION_DONE);
    assert_int_equal(save(store, "b", 1, 1, &b), SESSION_DONE);
    assert_int_equal(save(store, "c", 1, 1, &c), SESSION_FULL);
    assert_int_equal(save(store, "a", 2, 1, &a), SESSION_DONE); /* an existing session may continue */
    assert_true(value_of(store, "sessions") == 2);
    assert_true(value_of(store, "sessions_refused_total") == 1);
    assert_int_equal(save(store, "b", 0, 0, &b), SESSION_DONE);
    assert_int_equal(save(store, "c", 1, 1, &c), SESSION_DONE);
    session_store_close(store);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    struct session_store *store = open_store(60, 100, 4096);
    uint64_t a = 0, b = 0, step, found;
    assert_int_equal(save(store, "a", 1, 60, &a), SESSION_DONE); /* a head and 60 rows of 25 bytes */
    double bytes = value_of(store, "session_bytes");
    assert_true(bytes > 60 * 25 && bytes < 4096 && bytes == (double)session_store_expire(store));
    assert_int_equal(save(store, "b", 1, 100, &b), SESSION_FULL);
    assert_int_equal(save(store, "a", 2, 100, &a), SESSION_DONE); /* replaces the smaller record */
    assert_int_equal(save(store, "a", 3, 1000, &a), SESSION_FULL);
    assert_int_equal(load(store, "a", &step, &found), SESSION_DONE); /* the refused save changed nothing */
    assert_int_equal(step, 2);
    session_store_limit(store, 1000); /* existing sessions may continue but not grow, and no new session is accepted */
    assert_int_equal(save(store, "a", 3, 101, &a), SESSION_FULL);
    assert_int_equal(save(store, "b", 1, 1, &b), SESSION_FULL);
    assert_int_equal(save(store, "a", 3, 100, &a), SESSION_DONE);
    assert_int_equal(save(store, "a", 4, 1, &a), SESSION_DONE);
    assert_true(value_of(store, "session_bytes") < 1000);
    session_store_close(store);
}

/* With a lifetime of 0 a session is expired whenever the store is used. */
static void unused_sessions_end(void **state)
{
    (void)state;
    struct session_store *store = open_store(0, 1, 1 << 20);
    uint64_t step, found;
    for (int i = 1; i <= 3; i++) {
        uint64_t tag = 0;
        assert_int_equal(save(store, i % 2 ? "a" : "b", 1, 1, &tag), SESSION_DONE); /* there is room for one */
        if (i == 1) {
            assert_int_equal(load(store, "a", &step, &found), SESSION_DONE);
            assert_int_equal(found, 0);
        }
        assert_int_equal(session_store_expire(store), 0);
        assert_true(value_of(store, "sessions_expired_total") == i);
    }
    assert_true(value_of(store, "sessions") == 0);
    session_store_close(store);
}

enum { THREADS = 4, STEPS = 500 };

static void *count_up(void *argument)
{
    struct session_store *store = argument;
    for (int done = 0; done < STEPS;) {
        uint64_t step, tag;
        assert_int_equal(load(store, "a", &step, &tag), SESSION_DONE);
        done += save(store, "a", step + 1, 1, &tag) == SESSION_DONE;
    }
    return NULL;
}

static void no_step_is_lost_among_threads(void **state)
{
    (void)state;
    struct session_store *store = open_store(60, 10, 1 << 20);
    pthread_t threads[THREADS];
    uint64_t step, tag;
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up, store), 0);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(load(store, "a", &step, &tag), SESSION_DONE);
    assert_int_equal(step, THREADS * STEPS);
    assert_true(value_of(store, "sessions") == 1);
    session_store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(saves_compare_and_set), cmocka_unit_test(number_is_bounded),
                                       cmocka_unit_test(bytes_are_bounded), cmocka_unit_test(unused_sessions_end),
                                       cmocka_unit_test(no_step_is_lost_among_threads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
