/* Normalization and Rescaling, against values computed by hand. */
#include "core/layers/scaling.h"
#include "tests/unit/unit.h"

static const struct layer_shape shape = {.sequence = true, .timesteps = 2, .width = 2};

/* Runs x [2][2] through the layer; mean and variance are its tensors, or NULL if the configuration gives the
   numbers. */
static void run(struct layer *layer, const float *mean, const float *variance, float out[4])
{
    static float x[] = {1, 2, 3, 4};
    const float *const tensors[] = {mean, variance, mean};
    assert_int_equal(layer_build(layer, &shape, tensors, &vec_c, NULL), RNN_OK);
    struct layer_view in = {.at = x, .timesteps = 2, .stride = 2}, to = in;
    const struct layer_view *ins[] = {&in};
    to.at = out;
    struct layer_run pass = {.in = ins, .in_shapes = &shape, .out = &to, .out_shape = &shape, .n_inputs = 1, .n = 1};
    assert_true(layer->class->run(layer, &pass));
    layer_close(layer);
}

static void learned_numbers_normalize(void **state)
{
    (void)state;
    static const float mean[] = {1, 2}, variance[] = {4, 0.25f}, want[] = {0, 0, 1, 4}, time[] = {0, 0.5f, 2, 4};
    static const float back[] = {3, 3, 7, 4}, least[] = {0, 0};
    struct layer layer = {.class = &layer_identity};
    struct layer_tensor tensor;
    float out[4];
    assert_int_equal(layer_open(&layer, &layer_scale, NULL), RNN_OK);
    assert_true(layer_tensor_at(&layer, &shape, 2, &tensor) && !tensor.rank &&
                !layer_tensor_at(&layer, &shape, 3, &tensor));
    run(&layer, mean, variance, out);
    assert_memory_equal(out, want, sizeof out);
    assert_int_equal(layer_open(&layer, &layer_scale, NULL), RNN_OK);
    ((struct scaling *)layer.own)->axes.at[0] = 1;
    run(&layer, mean, variance, out);
    assert_memory_equal(out, time, sizeof out);
    assert_int_equal(layer_open(&layer, &layer_scale, NULL), RNN_OK);
    ((struct scaling *)layer.own)->invert = true;
    run(&layer, mean, variance, out);
    assert_memory_equal(out, back, sizeof out);
    assert_int_equal(layer_open(&layer, &layer_scale, NULL), RNN_OK);
    run(&layer, mean, least, out);
    assert_float_equal(out[2], 2e7, 2);
}

static void given_numbers_rescale(void **state)
{
    (void)state;
    static const float want[] = {3, 2, 7, 3};
    struct layer layer = {.class = &layer_identity};
    float out[4];
    assert_int_equal(layer_open(&layer, &layer_rescale, NULL), RNN_OK);
    struct scaling *own = layer.own;
    own->mean = (struct scaling_numbers){1, calloc(1, sizeof(double))};
    own->variance = (struct scaling_numbers){2, calloc(2, sizeof(double))};
    own->mean.at[0] = 1;
    own->variance.at[0] = 2;
    own->variance.at[1] = 0.5;
    run(&layer, NULL, NULL, out);
    assert_memory_equal(out, want, sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(learned_numbers_normalize),
                                       cmocka_unit_test(given_numbers_rescale)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
