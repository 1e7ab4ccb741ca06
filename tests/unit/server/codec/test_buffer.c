/* buffer.c, memory.c, failure.c */
#include "server/base/failure.h"
#include "server/codec/buffer.h"
#include "tests/unit/unit.h"

static void memory_is_accounted(void **state)
{
    (void)state;
    struct memory memory = {.limit = 100};
    struct memory_share a = {.memory = &memory}, b = {.memory = &memory};
    assert_true(memory_take(&a, 60));
    assert_false(memory_take(&b, 41));
    assert_false(memory_take(&b, SIZE_MAX));
    assert_int_equal(memory.used, 60);
    assert_true(memory_take(&b, 40));
    memory_give(&a, 60);
    assert_int_equal(memory.used, 40);
    void *p = memory_realloc(&a, NULL, 0, 30);
    assert_non_null(p);
    assert_null(memory_realloc(&a, p, 30, 61)); /* refused; p is still valid */
    p = memory_realloc(&a, p, 30, 10);
    assert_int_equal(a.bytes, 10);
    free(p);
}

/* Small blocks of a request are charged to the account in slices; an empty share has no slice. */
static void the_account_is_taken_in_slices(void **state)
{
    (void)state;
    struct memory memory = {.limit = 1 << 30};
    struct memory_share a = {.memory = &memory}, b = {.memory = &memory};
    assert_true(memory_take(&a, 100));
    assert_int_equal(memory.used, MEMORY_SLICE);
    assert_true(memory_take(&a, MEMORY_SLICE - 100));
    assert_int_equal(memory.used, MEMORY_SLICE);
    assert_true(memory_take(&a, 1));
    assert_int_equal(memory.used, 2 * MEMORY_SLICE);
    assert_true(memory_take(&b, 10 * MEMORY_SLICE)); /* large blocks are charged exactly */
    assert_int_equal(memory.used, 12 * MEMORY_SLICE);
    assert_true(memory_take(&b, 1));
    memory_give(&b, 10 * MEMORY_SLICE);
    assert_int_equal(memory.used, 3 * MEMORY_SLICE + 1); /* one byte and one slice of b remain */
    memory_give(&b, 1);
    assert_int_equal(memory.used, 2 * MEMORY_SLICE);
    memory_give(&a, MEMORY_SLICE);
    memory_give(&a, 1);
    assert_int_equal(memory.used, 0);
    assert_int_equal(a.bytes, 0);
    memory.limit = 3 * MEMORY_SLICE; /* with a low limit, slices are smaller */
    assert_true(memory_take(&a, 1));
    assert_int_equal(memory.used, 3 * MEMORY_SLICE / MEMORY_SLICES_OF_LIMIT);
}

static void text_grows_to_its_limit(void **state)
{
    (void)state;
    struct memory memory = {.limit = 1 << 20};
    struct memory_share share = {.memory = &memory};
    struct buffer buffer = {.limit = 2000, .share = &share};
    static const float values[] = {1, -0.5f, 0.1f};
    bool finite = true;
    buffer_text(&buffer, "a");
    buffer_printf(&buffer, "%d", 12);
    buffer_floats(&buffer, values, 3, &finite);
    buffer_floats(&buffer, values, 0, &finite);
    buffer_escaped(&buffer, "q\"\\\n");
    assert_int_equal(buffer.used, strlen("a12[1.0,-0.5,0.1][]q\\\"\\\\\\u000a"));
    assert_memory_equal(buffer.text, "a12[1.0,-0.5,0.1][]q\\\"\\\\\\u000a", buffer.used);
    assert_true(finite);
    for (int i = 0; i < 1000; i++)
        buffer_text(&buffer, "0123456789");
    assert_true(buffer.too_large);
    assert_true(buffer.room <= 4096);
    buffer_close(&buffer);
    assert_int_equal(memory.used, 0);
}

static void nonfinite_values_are_noticed_and_memory_is_bounded(void **state)
{
    (void)state;
    struct memory memory = {.limit = 1000};
    struct memory_share share = {.memory = &memory};
    struct buffer buffer = {.limit = 1 << 20, .share = &share};
    static const float values[] = {1, NAN};
    bool finite = true;
    buffer_floats(&buffer, values, 2, &finite);
    assert_false(finite);
    for (int i = 0; i < 1000; i++)
        buffer_text(&buffer, "0123456789");
    assert_true(buffer.exhausted && !buffer.too_large);
    buffer_close(&buffer);
}

static void the_first_failure_wins(void **state)
{
    (void)state;
    struct failure failure = {.status = 0};
    assert_false(failure_set(&failure, 400, "a", "/b", "c %d", 1));
    failure_set(&failure, 500, "d", NULL, "e");
    assert_int_equal(failure.status, 400);
    assert_string_equal(failure.text, "c 1");
    assert_string_equal(failure.path, "/b");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_accounted), cmocka_unit_test(the_account_is_taken_in_slices),
        cmocka_unit_test(text_grows_to_its_limit), cmocka_unit_test(nonfinite_values_are_noticed_and_memory_is_bounded),
        cmocka_unit_test(the_first_failure_wins)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
