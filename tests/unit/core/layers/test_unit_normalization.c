/* UnitNormalization, against values computed by hand. */
#include "core/layers/unit_normalization.h"
#include "tests/unit/unit.h"

static void run(struct axes axes, const struct layer_shape *shape, float *x, float *out)
{
    struct layer layer = {.class = &layer_identity};
    float space[8];
    assert_int_equal(layer_open(&layer, &layer_unit_normalization, NULL), RNN_OK);
    *(struct axes *)layer.own = axes;
    assert_int_equal(layer_build(&layer, shape, NULL, &vec_c, NULL), RNN_OK);
    struct layer_view in = {.at = x, .timesteps = shape->timesteps, .stride = shape->width}, to = in;
    const struct layer_view *ins[] = {&in};
    to.at = out;
    struct layer_run pass = {
        .in = ins, .in_shapes = shape, .out = &to, .out_shape = shape, .n_inputs = 1, .n = 1, .aux = space};
    assert_true(layer.class->run(&layer, &pass));
    layer_close(&layer);
}

static void vectors_get_the_length_1(void **state)
{
    (void)state;
    static const struct layer_shape shape = {.sequence = true, .timesteps = 2, .width = 2};
    float x[] = {3, 4, 4, 3}, out[4];
    run(axes_last, &shape, x, out);
    static const float last[] = {0.6f, 0.8f, 0.8f, 0.6f};
    assert_memory_equal(out, last, sizeof out);
    run((struct axes){1, {1}}, &shape, x, out);
    static const float time[] = {0.6f, 0.8f, 0.8f, 0.6f};
    assert_memory_equal(out, time, sizeof out);
    float y[] = {1, 5, 7, 5};
    run((struct axes){2, {1, 2}}, &shape, y, out);
    static const float all[] = {0.1f, 0.5f, 0.7f, 0.5f};
    assert_memory_equal(out, all, sizeof out);
}

static void short_vectors_stay_short(void **state)
{
    (void)state;
    static const struct layer_shape shape = {.timesteps = 1, .width = 2};
    float x[] = {0, 0}, out[2];
    run(axes_last, &shape, x, out);
    assert_true(out[0] == 0 && out[1] == 0);
    x[0] = 5e-7f;
    run(axes_last, &shape, x, out);
    assert_float_equal(out[0], 0.5, 1e-6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors_get_the_length_1),
                                       cmocka_unit_test(short_vectors_stay_short)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
