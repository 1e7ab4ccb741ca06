#include "tests/unit/unit.h"

enum { UNITS = 3, ROWS = 35, DEPTH = 200000 };

/* The largest error of y [rows][UNITS] against double, for a Dense of `depth` inputs; weights and inputs are in
   -1..1. */
static double largest_error(const struct vec_ops *vec, size_t depth, size_t rows)
{
    struct layer layer = {.class = &layer_identity};
    assert_int_equal(layer_open(&layer, &layer_dense, NULL), RNN_OK);
    ((struct dense *)layer.own)->units = UNITS;
    float *kernel = malloc(depth * UNITS * sizeof *kernel), *x = malloc(rows * depth * sizeof *x), y[ROWS * UNITS];
    const float bias[UNITS] = {0.5f, -1, 2};
    unsigned seed = 5;
    for (size_t i = 0; i < depth * UNITS; i++)
        kernel[i] = unit_random(&seed);
    for (size_t i = 0; i < rows * depth; i++)
        x[i] = unit_random(&seed);
    const struct layer_shape in = {.timesteps = 1, .width = depth};
    assert_int_equal(layer_build(&layer, &in, (const float *const[]){kernel, bias}, vec, NULL), RNN_OK);
    struct arena arena = {0};
    size_t bytes;
    assert_true(layer_dense.scratch(&layer, rows, &bytes) && arena_reserve(&arena, bytes));
    struct layer_view from = {.at = x}, to = {.at = y};
    struct layer_run run = {
        .in = (const struct layer_view *const[]){&from}, .out = &to, .n = rows, .vectors = rows, .arena = &arena};
    assert_true(layer_dense.run(&layer, &run));
    double worst = 0;
    for (size_t r = 0; r < rows; r++)
        for (size_t u = 0; u < UNITS; u++) {
            double want = bias[u];
            for (size_t k = 0; k < depth; k++)
                want += (double)x[r * depth + k] * kernel[k * UNITS + u];
            worst = fmax(worst, fabs(y[r * UNITS + u] - want));
        }
    arena_close(&arena);
    layer_close(&layer);
    free(kernel);
    free(x);
    return worst;
}

/* The error of one serial sum is 3.5e-3, that of blocked sums 1.4e-4. */
static void a_sum_of_many_inputs_is_as_exact_as_that_of_few(void **state)
{
    (void)state;
    const struct vec_ops *vec;
    for (size_t v = 0; (vec = vec_available(v)); v++)
        assert_near(largest_error(vec, DEPTH, 2), 0, 4e-4);
}

static void every_input_counts_whatever_their_number(void **state)
{
    (void)state;
    static const size_t depths[] = {1, 5, 1023, 1024, 1025, 2048, 2500};
    const struct vec_ops *vec;
    for (size_t v = 0; (vec = vec_available(v)); v++)
        for (size_t i = 0; i < sizeof depths / sizeof *depths; i++)
            assert_near(largest_error(vec, depths[i], ROWS), 0, 1e-4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sum_of_many_inputs_is_as_exact_as_that_of_few),
        cmocka_unit_test(every_input_counts_whatever_their_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
