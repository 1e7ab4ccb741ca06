/* Records of sessions as bytes, and the table that holds them. */
#include "tests/unit/unit.h"

#include "server/session/session_table.h"

static struct session_record *make(size_t rows, float first)
{
    struct session_head head = {.tag = session_tag(), .step = 3, .rows = rows, .state_floats = 3};
    snprintf(head.model, sizeof head.model, "m");
    head.answer_width = 2;
    head.answer_floats = rows * (rows - 1); /* row b has b timesteps */
    struct session_record *record = session_record_new(&head);
    for (size_t i = 0; i < rows * 3; i++)
        session_record_states(record)[i] = first + (float)i;
    for (size_t b = 0; b < rows; b++) {
        session_record_steps(record)[b] = b;
        session_record_stepped(record)[b] = b % 2;
    }
    for (size_t i = 0; i < head.answer_floats; i++)
        session_record_answer(record)[i] = 5 + (float)i;
    session_record_seal(record, "id");
    return record;
}

/* What bytes are; no record may come of any but good ones. */
static enum session_reading reads(const void *bytes, size_t n, const char *id)
{
    struct session_record *record;
    enum session_reading reading = session_record_read(bytes, n, id, &record);
    assert_int_equal(reading == RECORD_GOOD, record != NULL);
    session_record_release(record);
    return reading;
}

static void records_survive_as_bytes(void **state)
{
    (void)state;
    struct session_record *record = make(3, 1), *copy;
    assert_int_equal(session_record_read(&record->head, record->bytes, "id", &copy), RECORD_GOOD);
    assert_int_equal(session_record_bytes(&record->head, sizeof record->head), record->bytes);
    assert_memory_equal(&record->head, &copy->head, record->bytes);
    assert_true(session_record_states(copy)[8] == 9);
    assert_int_equal(session_record_steps(copy)[2], 2);
    assert_true(session_record_answer(copy)[1] == 6);
    assert_int_equal(session_record_stepped(copy)[1], 1);
    session_record_release(copy);
    session_record_release(record);
}

/* Every bit counts, every length but the right one is wrong, and so is every other session. */
static void damaged_records_are_none(void **state)
{
    (void)state;
    struct session_record *record = make(2, 1);
    size_t n = record->bytes;
    unsigned char *bytes = malloc(n + 1);
    memcpy(bytes, &record->head, n);
    for (size_t bit = 0; bit < 8 * n; bit++) {
        bool version = bit / 8 == 7; /* the last character of the magic */
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
        assert_int_equal(reads(bytes, n, "id"), version ? RECORD_OTHER_FORMAT : RECORD_DAMAGED);
        bytes[bit / 8] ^= (unsigned char)(1 << bit % 8);
    }
    for (size_t length = 0; length <= n + 1; length++)
        assert_int_equal(reads(bytes, length, "id"), length == n ? RECORD_GOOD : RECORD_DAMAGED);
    assert_int_equal(reads(bytes, n, "other"), RECORD_DAMAGED);
    assert_int_equal(reads("cellses2", 8, "id"), RECORD_OTHER_FORMAT);
    session_record_steps(record)[1] = 7; /* an answer that is not there */
    session_record_seal(record, "id");
    assert_int_equal(reads(&record->head, n, "id"), RECORD_DAMAGED);
    free(bytes);
    session_record_release(record);
    const struct session_head huge = {.rows = SIZE_MAX / 2, .state_floats = 8};
    assert_null(session_record_new(&huge));
}

static void tags_differ(void **state)
{
    (void)state;
    uint64_t last = session_tag();
    for (int i = 0; i < 1000; i++) {
        uint64_t tag = session_tag();
        assert_true(tag && tag != last);
        last = tag;
    }
}

static void a_table_finds_and_ages(void **state)
{
    (void)state;
    struct session_table table;
    char id[16];
    assert_true(session_table_open(&table));
    for (int i = 0; i < 1000; i++) {
        struct session_record *record = make(1, (float)i);
        snprintf(id, sizeof id, "s%d", i);
        assert_true(session_table_put(&table, id, record, i));
        session_record_release(record);
    }
    assert_int_equal(table.count, 1000);
    assert_string_equal(table.oldest->id, "s0");
    struct session_record *again = make(2, 7);
    assert_true(session_table_put(&table, "s0", again, 1000)); /* larger, and the newest now */
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

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records_survive_as_bytes),
                                       cmocka_unit_test(damaged_records_are_none), cmocka_unit_test(tags_differ),
                                       cmocka_unit_test(a_table_finds_and_ages)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
