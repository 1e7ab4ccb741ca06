/* The table of sessions: lookup, order of age, growth, and memory. */
#include "tests/unit/unit.h"

#include "server/session/session_table.h"

static struct session_record *make(float first, size_t rows)
{
    struct session_head head = {.tag = session_tag(), .rows = rows, .state_floats = 3};
    struct session_record *record = session_record_new(&head);
    assert_non_null(record);
    memset(record->data, 0, record->bytes - sizeof head);
    session_record_states(record)[0] = first;
    return record;
}

static void put(struct session_table *table, const char *id, float first, int64_t now)
{
    struct session_record *record = make(first, 1);
    assert_true(session_table_put(table, id, record, now));
    session_record_release(record);
}

static void a_table_finds_and_ages(void **state)
{
    (void)state;
    struct session_table table;
    char id[16];
    assert_true(session_table_open(&table));
    for (int i = 0; i < 1000; i++) {
        struct session_record *record = make((float)i, 1);
        snprintf(id, sizeof id, "s%d", i);
        assert_true(session_table_put(&table, id, record, i));
        session_record_release(record);
    }
    assert_int_equal(table.count, 1000);
    assert_string_equal(table.oldest->id, "s0");
    struct session_record *again = make(7, 2);
    assert_true(session_table_put(&table, "s0", again, 1000)); /* larger, and now the newest */
    session_record_release(again);
    assert_int_equal(table.count, 1000);
    assert_string_equal(table.oldest->id, "s1");
    assert_string_equal(table.newest->id, "s0");
    size_t bytes = 0;
    for (const struct session_entry *entry = table.oldest; entry; entry = entry->newer)
        bytes += session_table_cost(entry->id, entry->record);
    assert_int_equal(table.bytes, bytes);
    assert_true(session_record_states(session_table_find(&table, "s500")->record)[0] == 500);
    for (int i = 0; i < 1000; i += 2) {
        snprintf(id, sizeof id, "s%d", i);
        session_table_remove(&table, session_table_find(&table, id));
        assert_null(session_table_find(&table, id));
    }
    assert_int_equal(table.count, 500);
    assert_non_null(session_table_find(&table, "s999"));
    session_table_close(&table);
}

/* After growth every entry is found, and the order of age is unchanged. */
static void tables_grow(void **state)
{
    (void)state;
    enum { MOST = 5000 };
    struct session_table table;
    char id[16];
    assert_true(session_table_open(&table));
    size_t first = table.n_buckets, grown = 0;
    for (int i = 0; i < MOST; i++) {
        size_t before = table.n_buckets;
        snprintf(id, sizeof id, "s%d", i);
        put(&table, id, (float)i, i);
        assert_true(table.count <= table.n_buckets);
        if (table.n_buckets == before)
            continue;
        assert_int_equal(table.n_buckets, 2 * before);
        grown++;
        for (int k = 0; k <= i; k++) {
            snprintf(id, sizeof id, "s%d", k);
            assert_true(session_record_states(session_table_find(&table, id)->record)[0] == (float)k);
        }
    }
    assert_int_equal(first << grown, table.n_buckets);
    int64_t age = 0;
    for (const struct session_entry *entry = table.oldest; entry; entry = entry->newer, age++)
        assert_int_equal(entry->used_ns, age);
    assert_int_equal(age, MOST);
    size_t longest = 0;
    for (size_t i = 0; i < table.n_buckets; i++) {
        size_t length = 0;
        for (const struct session_entry *entry = table.buckets[i]; entry; entry = entry->next)
            length++;
        longest = length > longest ? length : longest;
    }
    assert_true(longest < 16); /* 5,000 over 8,192 buckets */
    session_table_close(&table);
    assert_int_equal(table.count, 0);
}

/* Remove the first, the middle, the last, and the only entry. */
static void entries_leave_from_any_place(void **state)
{
    (void)state;
    static const char *const ids[] = {"a", "b", "c"};
    for (size_t leaves = 0; leaves < 3; leaves++) {
        struct session_table table;
        assert_true(session_table_open(&table));
        for (size_t i = 0; i < 3; i++)
            put(&table, ids[i], 1, (int64_t)i);
        session_table_remove(&table, session_table_find(&table, ids[leaves]));
        assert_int_equal(table.count, 2);
        assert_string_equal(table.oldest->id, leaves == 0 ? "b" : "a");
        assert_string_equal(table.newest->id, leaves == 2 ? "b" : "c");
        assert_ptr_equal(table.oldest->newer, table.newest);
        assert_ptr_equal(table.newest->older, table.oldest);
        session_table_remove(&table, table.oldest);
        session_table_remove(&table, table.oldest);
        assert_null(table.oldest);
        assert_null(table.newest);
        assert_int_equal(table.bytes, 0);
        session_table_close(&table);
    }
}

/* Each table has its own hash seed, so that clients cannot choose ids for one bucket. */
static void seeds_differ(void **state)
{
    (void)state;
    struct session_table a, b;
    assert_true(session_table_open(&a));
    assert_true(session_table_open(&b));
    assert_int_not_equal(a.seed, b.seed);
    session_table_close(&a);
    session_table_close(&b);
}

/* The table has its own reference to a record. The record stays valid after it is removed from the table, and after the
   caller has released it. */
static void records_are_used_not_copied(void **state)
{
    (void)state;
    struct session_table table;
    struct session_record *record = make(4, 2);
    assert_true(session_table_open(&table));
    assert_true(session_table_put(&table, "id", record, 1));
    assert_int_equal(record->uses, 2);
    assert_true(session_table_cost("id", record) >= sizeof *record + record->bytes + sizeof(struct session_entry) + 3);
    assert_true(session_table_cost("a longer id than that one", record) > session_table_cost("id", record));
    assert_int_equal(table.bytes, session_table_cost("id", record));
    assert_true(session_table_put(&table, "id", record, 2)); /* replaces itself */
    assert_int_equal(record->uses, 2);
    assert_int_equal(table.count, 1);
    session_table_close(&table);
    assert_int_equal(record->uses, 1);
    session_record_release(record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_table_finds_and_ages), cmocka_unit_test(tables_grow),
                                       cmocka_unit_test(entries_leave_from_any_place), cmocka_unit_test(seeds_differ),
                                       cmocka_unit_test(records_are_used_not_copied)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
