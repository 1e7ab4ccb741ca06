#include "tests/unit/unit.h"

static void sizes_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    size_t out;
    assert_true(rnn_size_mul(3, 7, &out));
    assert_int_equal(out, 21);
    assert_false(rnn_size_mul(SIZE_MAX / 2, 3, &out));
    assert_true(out == SIZE_MAX);
    assert_false(rnn_size_add(SIZE_MAX, 1, &out));
    assert_true(rnn_size_mul(SIZE_MAX, 0, &out));
    assert_int_equal(out, 0);
    assert_null(rnn_alloc(SIZE_MAX / 4, 8));
    assert_null(rnn_alloc(1, SIZE_MAX - 8));
}

static void allocations_are_aligned_and_zeroed(void **state)
{
    (void)state;
    float *p = rnn_alloc(3, sizeof *p);
    assert_int_equal((uintptr_t)p % RNN_ALIGNMENT, 0);
    assert_true(p[0] == 0 && p[1] == 0 && p[2] == 0);
    free(p);
}

static void arena_hands_out_distinct_aligned_memory(void **state)
{
    (void)state;
    struct arena arena = {0};
    assert_true(arena_reserve(&arena, 1024));
    char *a = arena_alloc(&arena, 10, 1), *b = arena_alloc(&arena, 4, 25);
    assert_int_equal((uintptr_t)a % RNN_ALIGNMENT, 0);
    assert_int_equal(b - a, 64);
    memset(a, 1, 10);
    memset(b, 2, 100);
    assert_int_equal(a[9], 1);
    arena_reset(&arena);
    assert_ptr_equal(arena_alloc(&arena, 1, 1), a);
    void *before = arena.base;
    assert_true(arena_reserve(&arena, 512)); /* the arena is large enough already */
    assert_ptr_equal(arena.base, before);
    assert_false(arena_reserve(&arena, SIZE_MAX - 100));
    assert_null(arena.base);
    arena_close(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_that_do_not_fit_are_refused),
        cmocka_unit_test(allocations_are_aligned_and_zeroed),
        cmocka_unit_test(arena_hands_out_distinct_aligned_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
