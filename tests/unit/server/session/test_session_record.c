/* Records of sessions, read from bytes. */
#include "tests/unit/unit.h"

#include "server/session/session_record.h"

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

/* How these bytes are read; a record results only from good bytes. */
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

/* A record with a changed bit, of another length or of another session is damaged. */
static void damaged_records_are_not_read(void **state)
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
    session_record_steps(record)[1] = 7; /* timesteps of an answer that the record lacks */
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

/* Records of another format version are reported as such. Only the magic is read. */
static void other_versions_are_reported(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t n;
        enum session_reading reading;
    } rows[] = {
        {"cellses0", 8, RECORD_OTHER_FORMAT}, {"cellses2 and whatever follows", 29, RECORD_OTHER_FORMAT},
        {"cellsesA", 8, RECORD_OTHER_FORMAT}, {"cellses\0", 8, RECORD_OTHER_FORMAT},
        {"cellses1", 8, RECORD_DAMAGED},      {"cellses", 7, RECORD_DAMAGED},
        {"Cellses2", 8, RECORD_DAMAGED},      {"", 0, RECORD_DAMAGED},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(reads(rows[i].bytes, rows[i].n, "id"), rows[i].reading);
    struct session_record *record = make(2, 1);
    memcpy(record->head.magic, "cellses2", 8); /* undamaged, but of another version */
    assert_int_equal(reads(&record->head, record->bytes, "id"), RECORD_OTHER_FORMAT);
    assert_int_equal(session_record_bytes(&record->head, record->bytes), 0);
    session_record_release(record);
}

/* Wrong heads are damage: sizes that do not fit, a name without NUL, too many timesteps. */
static void wrong_heads_are_damage(void **state)
{
    (void)state;
    struct session_record *record = make(2, 1);
    struct session_head good = record->head, *head = &record->head;
    memset(head->model, 'm', sizeof head->model);
    session_record_seal(record, "id");
    assert_int_equal(reads(head, record->bytes, "id"), RECORD_DAMAGED);
    *head = good;
    session_record_steps(record)[0] = UINT64_MAX;
    session_record_steps(record)[1] = 1;
    session_record_seal(record, "id");
    assert_int_equal(reads(head, record->bytes, "id"), RECORD_DAMAGED);
    static const struct session_head sizes[] = {{.rows = 0, .state_floats = 1},
                                                {.rows = 1, .state_floats = SIZE_MAX / 4},
                                                {.rows = SIZE_MAX / 9 + 1},
                                                {.rows = 1, .answer_floats = SIZE_MAX / 4},
                                                {.rows = 1, .answer_floats = SIZE_MAX / 2}};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        assert_null(session_record_new(&sizes[i]));
    session_record_release(record);
    session_record_release(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(records_survive_as_bytes),
                                       cmocka_unit_test(damaged_records_are_not_read), cmocka_unit_test(tags_differ),
                                       cmocka_unit_test(other_versions_are_reported),
                                       cmocka_unit_test(wrong_heads_are_damage)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
