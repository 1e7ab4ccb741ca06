/* number.c: products of a whole number and sizes that are not known (the batch, the timesteps). */
#include "config/onnx/number.h"
#include "tests/unit/unit.h"

enum { T = ONNX_BATCH + 1 };

static struct onnx_number times(int64_t value, unsigned char a, unsigned char b)
{
    struct onnx_number out = {.value = value};
    out.symbols[0] = a;
    out.symbols[1] = b;
    return out;
}

static void products_keep_their_symbols_in_order(void **state)
{
    struct onnx_number out;
    (void)state;
    assert_true(onnx_multiply(times(2, T, 0), times(3, ONNX_BATCH, 0), &out));
    assert_true(onnx_same(out, times(6, ONNX_BATCH, T)));
    assert_false(onnx_known(out));
    assert_true(onnx_multiply(out, onnx_whole(0), &out));
    assert_true(onnx_is_whole(out, 0));
    assert_false(onnx_multiply(onnx_whole(INT64_MAX), onnx_whole(2), &out));
}

static void division_refuses_a_remainder(void **state)
{
    struct onnx_number out;
    (void)state;
    assert_true(onnx_divide(times(12, ONNX_BATCH, T), times(4, T, 0), &out));
    assert_true(onnx_same(out, times(3, ONNX_BATCH, 0)));
    assert_false(onnx_divide(times(12, ONNX_BATCH, 0), times(4, T, 0), &out));
    assert_false(onnx_divide(onnx_whole(7), onnx_whole(2), &out));
    assert_false(onnx_divide(onnx_whole(7), onnx_whole(0), &out));
    assert_false(onnx_divide(onnx_whole(INT64_MIN), onnx_whole(-1), &out));
}

static void sums_need_the_same_symbols(void **state)
{
    struct onnx_number out;
    (void)state;
    assert_true(onnx_add(times(2, T, 0), times(3, T, 0), &out));
    assert_true(onnx_same(out, times(5, T, 0)));
    assert_true(onnx_add(times(2, T, 0), times(-2, T, 0), &out));
    assert_true(onnx_is_whole(out, 0));
    assert_true(onnx_add(onnx_whole(0), times(3, T, 0), &out));
    assert_true(onnx_has_symbol(out, T));
    assert_false(onnx_add(onnx_whole(1), times(3, T, 0), &out));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(products_keep_their_symbols_in_order),
                                       cmocka_unit_test(division_refuses_a_remainder),
                                       cmocka_unit_test(sums_need_the_same_symbols)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
