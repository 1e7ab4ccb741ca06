/* Normalization layers and PReLU, against values computed by hand. */
#include "core/layers/group_normalization.h"
#include "core/layers/prelu.h"
#include "core/layers/scaling.h"
#include "tests/unit/unit.h"

static const struct layer_shape shape = {.sequence = true, .timesteps = 2, .width = 2};

static void run(struct layer *layer, const float *const *tensors, float *x, float out[4])
{
    float space[4];
    assert_int_equal(layer_build(layer, &shape, tensors, &vec_c, NULL), RNN_OK);
    struct layer_view in = {.at = x, .timesteps = 2, .stride = 2}, to = in;
    const struct layer_view *ins[] = {&in};
    to.at = out;
    struct layer_run pass = {
        .in = ins, .in_shapes = &shape, .out = &to, .out_shape = &shape, .n_inputs = 1, .n = 1, .aux = space};
    assert_true(layer->class->run(layer, &pass));
    layer_close(layer);
}

static void close_to(const float *out, const float *want)
{
    for (size_t i = 0; i < 4; i++)
        assert_float_equal(out[i], want[i], 1e-6);
}

static const float gamma2[] = {1, 2}, beta2[] = {0, 0.5f};

static void a_layer_norm_is_along_its_axes(void **state)
{
    (void)state;
    static const float time[] = {-1, -1, 2.5f, 2.5f}, back[] = {-1, 2.5f, -1, 2.5f};
    const float *const tensors[] = {gamma2, beta2};
    struct layer layer = {.class = &layer_identity};
    float x[] = {1, 2, 3, 6}, out[4];
    assert_int_equal(layer_open(&layer, &layer_layer_norm, NULL), RNN_OK);
    struct normalization *own = layer.own;
    own->axes.at[0] = 1;
    own->epsilon = 0;
    run(&layer, tensors, x, out);
    close_to(out, time);
    assert_int_equal(layer_open(&layer, &layer_layer_norm, NULL), RNN_OK);
    ((struct normalization *)layer.own)->epsilon = 0;
    run(&layer, tensors, x, out);
    close_to(out, back);
}

static void a_batch_norm_has_weights_along_its_axis(void **state)
{
    (void)state;
    static const float mean[] = {1, 2}, variance[] = {4, 0.25f}, want[] = {0, 0.5f, 4.5f, 16.5f};
    const float *const tensors[] = {gamma2, beta2, mean, variance};
    struct layer layer = {.class = &layer_identity};
    float x[] = {1, 2, 3, 6}, out[4];
    assert_int_equal(layer_open(&layer, &layer_batch_norm, NULL), RNN_OK);
    struct normalization *own = layer.own;
    own->axes.at[0] = 1;
    own->epsilon = 0;
    run(&layer, tensors, x, out);
    close_to(out, want);
}

/* Files without tensor names need the number of tensors of a layer before its input shape is known. */
static void tensors_are_counted_before_the_input_is_known(void **state)
{
    (void)state;
    static const struct layer_shape unknown = {.width = 0};
    static const struct {
        const struct layer_class *class;
        size_t n;
    } rows[] = {{&layer_batch_norm, 4}, {&layer_layer_norm, 2}, {&layer_rms_norm, 1},
                {&layer_group_norm, 2}, {&layer_scale, 3},      {&layer_prelu, 1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct layer layer = {.class = &layer_identity};
        struct layer_tensor tensor;
        size_t n = 0;
        assert_int_equal(layer_open(&layer, rows[i].class, NULL), RNN_OK);
        *(struct axes *)layer.own = (struct axes){1, {2}};
        while (layer_tensor_at(&layer, &unknown, n, &tensor))
            n++;
        assert_int_equal(n, rows[i].n);
        layer_close(&layer);
    }
}

/* One group takes all numbers, two groups take one channel each. */
static void a_group_norm_is_over_its_channels(void **state)
{
    (void)state;
    static const float one[] = {-1, 2.5f, -1, 2.5f}, two[] = {-1, -1.5f, 1, 2.5f};
    const float *const tensors[] = {gamma2, beta2};
    struct layer layer = {.class = &layer_identity};
    float x[] = {1, 3, 1, 3}, y[] = {1, 5, 3, 9}, out[4];
    for (size_t groups = 1; groups <= 2; groups++) {
        assert_int_equal(layer_open(&layer, &layer_group_norm, NULL), RNN_OK);
        struct group_normalization *own = layer.own;
        own->groups = groups;
        own->common.epsilon = 0;
        run(&layer, tensors, groups == 1 ? x : y, out);
        close_to(out, groups == 1 ? one : two);
    }
    struct layer_shape to;
    struct rnn_error err = {.text = ""};
    assert_int_equal(layer_open(&layer, &layer_group_norm, NULL), RNN_OK);
    assert_int_equal(layer_output(&layer, &shape, false, &to, &err), RNN_ESHAPE);
    assert_non_null(strstr(err.text, "2 channels cannot be divided into 32 groups"));
    layer_close(&layer);
}

static void a_rms_norm_keeps_the_mean(void **state)
{
    (void)state;
    static const float want[] = {1, 2, 0.6f * 1.41421356f, 1.6f * 1.41421356f};
    const float *const tensors[] = {gamma2};
    struct layer layer = {.class = &layer_identity};
    struct layer_tensor tensor;
    float x[] = {2, 2, 3, 4}, out[4];
    assert_int_equal(layer_open(&layer, &layer_rms_norm, NULL), RNN_OK);
    assert_true(layer_tensor_at(&layer, &shape, 0, &tensor));
    assert_string_equal(tensor.name, "scale");
    run(&layer, tensors, x, out);
    close_to(out, want);
}

static void a_prelu_shares_slopes(void **state)
{
    (void)state;
    static const float slopes[] = {0.5f, 2, 3, 4}, own_slopes[] = {-0.5f, 2, -3, -8}, shared[] = {-0.5f, 2, -0.5f, -4};
    const float *const tensors[] = {slopes};
    struct layer layer = {.class = &layer_identity};
    float x[] = {-1, 2, -1, -2}, out[4];
    assert_int_equal(layer_open(&layer, &layer_prelu, NULL), RNN_OK);
    run(&layer, tensors, x, out);
    close_to(out, own_slopes);
    assert_int_equal(layer_open(&layer, &layer_prelu, NULL), RNN_OK);
    ((struct prelu *)layer.own)->shared = (struct axes){1, {1}};
    run(&layer, tensors, x, out);
    close_to(out, shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_layer_norm_is_along_its_axes),
                                       cmocka_unit_test(a_batch_norm_has_weights_along_its_axis),
                                       cmocka_unit_test(tensors_are_counted_before_the_input_is_known),
                                       cmocka_unit_test(a_group_norm_is_over_its_channels),
                                       cmocka_unit_test(a_rms_norm_keeps_the_mean),
                                       cmocka_unit_test(a_prelu_shares_slopes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
