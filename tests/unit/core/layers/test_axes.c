/* Groups of numbers and weights along axes, against values computed by hand. */
#include "core/layers/axes.h"
#include "tests/unit/unit.h"

static const float x[] = {1, 2, 3, 4, 5, 6, 7, 8}; /* [2][2][2] */

static const struct layer_shape shape = {.sequence = true, .timesteps = 2, .width = 4, .rank = 2, .dims = {2, 2}};

static void tensor_of(size_t n, long a, long b, struct axes_tensor *out)
{
    struct layer layer = {.class = &layer_identity};
    struct axes axes = {n, {a, b}};
    assert_int_equal(axes_of(&layer, &axes, &shape, out, NULL), RNN_OK);
}

/* Replaces each number of a group with the sum of the group. */
static void sum(const struct layer *layer, size_t n, float *y)
{
    float all = 0;
    (void)layer;
    for (size_t i = 0; i < n; i++)
        all += y[i];
    for (size_t i = 0; i < n; i++)
        y[i] = all;
}

/* 10 times the number, plus the index of its weight. */
static void place(const struct layer *layer, size_t n, const float *y, float *out, size_t w, size_t step)
{
    (void)layer;
    for (size_t i = 0; i < n; i++)
        out[i] = 10 * y[i] + (float)(w + i * step);
}

static void groups_are_along_the_axes(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        long a, b;
        float sums[8];
    } rows[] = {
        {1, -1, 0, {3, 3, 7, 7, 11, 11, 15, 15}},     {1, 2, 0, {4, 6, 4, 6, 12, 14, 12, 14}},
        {1, 1, 0, {6, 8, 10, 12, 6, 8, 10, 12}},      {2, 2, 3, {10, 10, 10, 10, 26, 26, 26, 26}},
        {2, -1, 1, {14, 14, 22, 22, 14, 14, 22, 22}}, {2, 1, 2, {16, 20, 16, 20, 16, 20, 16, 20}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct axes_tensor tensor;
        float out[8], space[4];
        tensor_of(rows[i].n, rows[i].a, rows[i].b, &tensor);
        axes_for_groups(NULL, &tensor, x, out, space, sum);
        assert_memory_equal(out, rows[i].sums, sizeof out);
    }
}

static void weights_are_along_the_axes(void **state)
{
    (void)state;
    static const struct {
        size_t n;
        long a, b;
        float places[8];
    } rows[] = {
        {0, 0, 0, {0, 0, 0, 0, 0, 0, 0, 0}},  {1, 3, 0, {0, 1, 0, 1, 0, 1, 0, 1}}, {1, 2, 0, {0, 0, 1, 1, 0, 0, 1, 1}},
        {1, 1, 0, {0, 0, 0, 0, 1, 1, 1, 1}},  {2, 1, 3, {0, 1, 0, 1, 2, 3, 2, 3}}, {2, 3, 2, {0, 1, 2, 3, 0, 1, 2, 3}},
        {2, 1, -2, {0, 0, 1, 1, 2, 2, 3, 3}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct axes_tensor tensor;
        float out[8];
        tensor_of(rows[i].n, rows[i].a, rows[i].b, &tensor);
        axes_for_weights(NULL, &tensor, x, out, place);
        for (size_t k = 0; k < 8; k++)
            assert_true(out[k] == 10 * x[k] + rows[i].places[k]);
    }
}

static void a_time_distributed_layer_counts_from_its_timestep(void **state)
{
    (void)state;
    struct layer layer = {.class = &layer_identity, .only_sequences = true};
    struct axes axes = {1, {1}};
    struct axes_tensor tensor;
    struct rnn_error err = {.text = ""};
    assert_int_equal(axes_of(&layer, &axes, &shape, &tensor, &err), RNN_OK);
    assert_true(!tensor.on[0] && tensor.on[1] && !tensor.on[2]);
    axes.at[0] = 3;
    assert_int_equal(axes_of(&layer, &axes, &shape, &tensor, &err), RNN_ESHAPE);
    axes.at[0] = -3;
    assert_int_equal(axes_of(&layer, &axes, &shape, &tensor, &err), RNN_ESHAPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(groups_are_along_the_axes),
                                       cmocka_unit_test(weights_are_along_the_axes),
                                       cmocka_unit_test(a_time_distributed_layer_counts_from_its_timestep)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
