/* Conv1D, merges, slices and the mask of a Softmax, against values computed by hand. */
#include "core/layers/activation.h"
#include "core/layers/conv.h"
#include "core/layers/conv_lstm.h"
#include "core/layers/merge.h"
#include "core/layers/slice.h"
#include "tests/unit/unit.h"

enum { MOST = 32 };

static void open_layer(struct layer *layer, const struct layer_class *class)
{
    *layer = (struct layer){.name = "l", .class_name = "L", .n_inputs = 1};
    assert_int_equal(layer_open(layer, class, NULL), RNN_OK);
}

/* Runs an opened layer on one row, expects the output want [n], and closes the layer. */
static void gives(struct layer *layer, const struct layer_shape *in, const float *const *x, const float *const *tensors,
                  size_t n, const float *want)
{
    struct layer_shape out;
    struct layer_view views[2], to;
    const struct layer_view *inputs[2] = {&views[0], &views[1]};
    struct rnn_row row = {.states = NULL};
    float y[MOST], space[MOST] = {0};
    unsigned char masks[MOST];
    size_t bytes = 0;
    assert_int_equal(layer_build(layer, in, tensors, vec_available(0), NULL), RNN_OK);
    assert_int_equal(layer_output(layer, in, true, &out, NULL), RNN_OK);
    assert_int_equal(out.timesteps * out.width, n);
    if (layer->class->scratch)
        assert_true(layer->class->scratch(layer, 1, &bytes));
    struct arena arena = {.base = NULL};
    assert_true(arena_reserve(&arena, bytes + RNN_ALIGNMENT));
    for (size_t k = 0; k < layer->n_inputs; k++)
        views[k] = (struct layer_view){.at = (float *)x[k], .timesteps = in[k].timesteps, .stride = in[k].width};
    to = (struct layer_view){.at = y, .timesteps = out.timesteps, .stride = out.width};
    struct layer_run run = {.in = inputs,
                            .in_shapes = in,
                            .out = &to,
                            .out_shape = &out,
                            .n_inputs = layer->n_inputs,
                            .n = 1,
                            .vectors = in->timesteps * in->width / layer_features(in),
                            .rows = &row,
                            .masks = masks,
                            .aux = space,
                            .arena = &arena};
    assert_true(layer->class->run(layer, &run));
    for (size_t i = 0; i < n; i++)
        assert_near((double)y[i], (double)want[i], 1e-6);
    arena_close(&arena);
    layer_close(layer);
}

static const struct layer_shape sequence = {.sequence = true, .timesteps = 4, .width = 1};

/* The kernel [2, 1, 1] is 10, 1 and the bias 0.5. */
static void windows_slide_as_padding_says(void **state)
{
    (void)state;
    static const float x[] = {1, 2, 3, 4}, kernel[] = {10, 1}, bias[] = {0.5f};
    static const float valid[] = {12.5f, 23.5f, 34.5f}, same[] = {12.5f, 23.5f, 34.5f, 40.5f};
    static const float causal[] = {1.5f, 12.5f, 23.5f, 34.5f}, dilated[] = {13.5f, 24.5f}, strided[] = {12.5f, 34.5f};
    static const struct {
        enum window_padding padding;
        size_t stride, dilation, n;
        const float *want;
    } rows[] = {{WINDOW_VALID, 1, 1, 3, valid},
                {WINDOW_SAME, 1, 1, 4, same},
                {WINDOW_CAUSAL, 1, 1, 4, causal},
                {WINDOW_VALID, 1, 2, 2, dilated},
                {WINDOW_VALID, 2, 1, 2, strided}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct layer layer;
        open_layer(&layer, &layer_conv);
        struct conv *own = layer.own;
        window_defaults(&own->window);
        own->window.rank = 1;
        own->window.size[1] = 2;
        own->window.strides[1] = rows[i].stride;
        own->window.dilation[1] = rows[i].dilation;
        own->window.padding = rows[i].padding;
        own->filters = own->groups = 1;
        own->use_bias = true;
        own->activation = activation_find("linear")->activation;
        gives(&layer, &sequence, (const float *const[]){x}, (const float *const[]){kernel, bias}, rows[i].n,
              rows[i].want);
    }
}

/* Such a layer takes parts of a sequence. */
static void a_window_of_one_timestep_is_causal(void **state)
{
    (void)state;
    static const struct {
        enum window_padding padding;
        size_t size, stride;
        enum layer_time want;
    } rows[] = {{WINDOW_VALID, 1, 1, TIME_CARRIED},  {WINDOW_SAME, 1, 1, TIME_CARRIED},
                {WINDOW_CAUSAL, 3, 1, TIME_CARRIED}, {WINDOW_VALID, 1, 2, TIME_WHOLE},
                {WINDOW_SAME, 2, 1, TIME_WHOLE},     {WINDOW_GIVEN, 1, 1, TIME_WHOLE}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct layer layer;
        open_layer(&layer, &layer_conv);
        struct conv *own = layer.own;
        own->window.size[1] = rows[i].size;
        own->window.strides[1] = rows[i].stride;
        own->window.padding = rows[i].padding;
        layer.input = sequence;
        assert_int_equal(layer.class->time(&layer), rows[i].want);
        layer_close(&layer);
    }
}

static void merges_broadcast(void **state)
{
    (void)state;
    static const struct layer_shape in[] = {{.sequence = true, .timesteps = 2, .width = 2},
                                            {.sequence = true, .timesteps = 1, .width = 2}};
    static const float a[] = {1, 2, 3, 4}, b[] = {3, 1};
    static const float want[][4] = {
        [MERGE_ADD] = {4, 3, 6, 5},           [MERGE_SUBTRACT] = {-2, 1, 0, 3}, [MERGE_MULTIPLY] = {3, 2, 9, 4},
        [MERGE_AVERAGE] = {2, 1.5f, 3, 2.5f}, [MERGE_MAXIMUM] = {3, 2, 3, 4},   [MERGE_MINIMUM] = {1, 1, 3, 1}};
    for (size_t i = MERGE_ADD; i <= MERGE_MINIMUM; i++) {
        struct layer layer;
        open_layer(&layer, &layer_merge);
        layer.n_inputs = 2;
        ((struct merge *)layer.own)->operation = (enum merge_operation)i;
        gives(&layer, in, (const float *const[]){a, b}, NULL, 4, want[i]);
    }
}

static void a_slice_takes_features_of_every_timestep(void **state)
{
    (void)state;
    static const struct layer_shape in = {.sequence = true, .timesteps = 2, .width = 3};
    static const float x[] = {1, 2, 3, 4, 5, 6}, want[] = {2, 3, 5, 6};
    struct layer layer;
    struct layer_shape out;
    struct rnn_error err = {""};
    open_layer(&layer, &layer_slice);
    *(struct slice *)layer.own = (struct slice){1, 2};
    gives(&layer, &in, (const float *const[]){x}, NULL, 4, want);
    open_layer(&layer, &layer_slice);
    *(struct slice *)layer.own = (struct slice){2, 2};
    assert_int_equal(layer_output(&layer, &in, true, &out, &err), RNN_ESHAPE);
    assert_non_null(strstr(err.text, "expected at least 4 features, found 3"));
    layer_close(&layer);
}

/* Two equal scores, of which the mask leaves one or none. If none is left, Keras 3 gives zeros; Keras 2 adds -1e9 to
   both scores, which makes them equal. */
static void a_softmax_leaves_out_masked_scores(void **state)
{
    (void)state;
    static const struct layer_shape in[] = {{.timesteps = 1, .width = 2}, {.timesteps = 1, .width = 2}};
    static const float x[] = {1, 1}, one[] = {0, 1}, none[] = {0, 0};
    static const float second[] = {0, 1}, halves[] = {0.5f, 0.5f}, zeros[] = {0, 0};
    for (int keras3 = 0; keras3 < 2; keras3++)
        for (int left = 0; left < 2; left++) {
            struct layer layer;
            open_layer(&layer, &layer_softmax);
            layer.n_inputs = 2;
            ((struct softmax *)layer.own)->masked_are_zero = keras3;
            gives(&layer, in, (const float *const[]){x, left ? one : none}, NULL, 2,
                  left     ? second
                  : keras3 ? zeros
                           : halves);
        }
    struct layer layer;
    struct layer_shape out, wrong[] = {in[0], {.timesteps = 1, .width = 3}};
    struct rnn_error err = {""};
    open_layer(&layer, &layer_softmax);
    layer.n_inputs = 2;
    assert_int_equal(layer_output(&layer, wrong, true, &out, &err), RNN_ESHAPE);
    assert_non_null(strstr(err.text, "expected a mask with as many axes as the input"));
    layer_close(&layer);
}

static void states_of_frames_have_their_shape(void **state)
{
    (void)state;
    static const struct layer_shape vector = {.timesteps = 1, .width = 4};
    struct layer_shape in[] = {vector, {.sequence = true, .timesteps = 2, .width = 1}};
    static const float states[] = {1, 2, 3, 4}, frame[] = {0, 0}, carry[] = {3, 4};
    struct layer layer;
    open_layer(&layer, &layer_frame_state);
    layer.n_inputs = 2;
    ((struct frame_state *)layer.own)->index = 1;
    gives(&layer, in, (const float *const[]){states, frame}, NULL, 2, carry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_slide_as_padding_says),
        cmocka_unit_test(a_window_of_one_timestep_is_causal),
        cmocka_unit_test(merges_broadcast),
        cmocka_unit_test(a_slice_takes_features_of_every_timestep),
        cmocka_unit_test(a_softmax_leaves_out_masked_scores),
        cmocka_unit_test(states_of_frames_have_their_shape),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
