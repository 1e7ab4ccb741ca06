/* Operations as layers: broadcast, slices, reductions, products; whether they can be streamed; errors. */
#include "core/layers/arithmetic.h"
#include "core/layers/get_item.h"
#include "core/layers/matmul.h"
#include "core/layers/reduce.h"
#include "tests/unit/unit.h"

enum { MOST = 64 };

static struct layer_shape shape_of(size_t n, const size_t *axes)
{
    struct layer_shape shape;
    assert_true(layer_shape_of(n, axes, &shape));
    return shape;
}

#define SHAPE(...) shape_of(sizeof(size_t[]){__VA_ARGS__} / sizeof(size_t), (size_t[]){__VA_ARGS__})

static void open_layer(struct layer *layer, const struct layer_class *class)
{
    *layer = (struct layer){.name = "l", .class_name = "op", .n_inputs = 1};
    assert_int_equal(layer_open(layer, class, NULL), RNN_OK);
}

static void build(struct layer *layer, const struct layer_shape *in)
{
    assert_int_equal(layer_build(layer, in, NULL, vec_available(0), NULL), RNN_OK);
}

/* Runs the layer on one row, expects the output `want` with this shape, and closes the layer. */
static void gives(struct layer *layer, const struct layer_shape *in, const float *const *x, struct layer_shape shape,
                  const float *want)
{
    struct layer_shape out;
    struct layer_view views[2], to;
    const struct layer_view *inputs[2] = {&views[0], &views[1]};
    float y[MOST];
    build(layer, in);
    assert_int_equal(layer_output(layer, in, false, &out, NULL), RNN_OK);
    size_t axes[LAYER_MAX_AXES], expected[LAYER_MAX_AXES], n = layer_axes(&out, axes);
    assert_int_equal(n, layer_axes(&shape, expected));
    assert_memory_equal(axes, expected, n * sizeof *axes);
    for (size_t k = 0; k < layer->n_inputs; k++)
        views[k] = (struct layer_view){.at = (float *)x[k], .timesteps = in[k].timesteps, .stride = in[k].width};
    to = (struct layer_view){.at = y, .timesteps = out.timesteps, .stride = out.width};
    struct layer_run run = {
        .in = inputs, .in_shapes = in, .out = &to, .out_shape = &out, .n_inputs = layer->n_inputs, .n = 1};
    assert_true(layer->class->run(layer, &run));
    for (size_t i = 0; i < out.timesteps * out.width; i++)
        assert_near((double)y[i], (double)want[i], 1e-6);
    layer_close(layer);
}

static void refuses(struct layer *layer, const struct layer_shape *in, const char *text)
{
    struct layer_shape out;
    struct rnn_error err = {""};
    build(layer, in);
    assert_int_equal(layer_output(layer, in, false, &out, &err), RNN_ESHAPE);
    assert_non_null(strstr(err.text, text));
    layer_close(layer);
}

static const float six[] = {1, 2, 3, 4, 5, 6}; /* [2, 3] */

static void constant(struct layer *layer, enum arithmetic_operation operation, bool first, size_t rank, size_t n,
                     const float *numbers)
{
    open_layer(layer, &layer_arithmetic);
    struct arithmetic *own = layer->own;
    own->operation = operation;
    own->constant_first = first;
    own->rank = rank;
    own->axes[0] = n;
    own->axes[1] = 1;
    own->constant = malloc(n * sizeof(float));
    memcpy(own->constant, numbers, n * sizeof(float));
}

static void constants_are_left_or_right_operands(void **state)
{
    (void)state;
    struct layer layer;
    const struct layer_shape in = SHAPE(2, 3);
    const float *x[] = {six};
    constant(&layer, ARITHMETIC_SUBTRACT, true, 0, 1, (const float[]){10});
    gives(&layer, &in, x, in, (const float[]){9, 8, 7, 6, 5, 4});
    constant(&layer, ARITHMETIC_DIVIDE, false, 0, 1, (const float[]){2});
    gives(&layer, &in, x, in, (const float[]){0.5F, 1, 1.5F, 2, 2.5F, 3});
    constant(&layer, ARITHMETIC_POWER, true, 0, 1, (const float[]){2});
    gives(&layer, &in, x, in, (const float[]){2, 4, 8, 16, 32, 64});
    constant(&layer, ARITHMETIC_MULTIPLY, false, 1, 3, (const float[]){1, 10, 100});
    gives(&layer, &in, x, in, (const float[]){1, 20, 300, 4, 50, 600});
    constant(&layer, ARITHMETIC_ADD, false, 2, 2, (const float[]){10, 20});
    gives(&layer, &in, x, in, (const float[]){11, 12, 13, 24, 25, 26});
    constant(&layer, ARITHMETIC_MODULO, false, 0, 1, (const float[]){-4});
    gives(&layer, &in, x, in, (const float[]){-3, -2, -1, 0, -3, -2});
    constant(&layer, ARITHMETIC_ADD, false, 1, 2, (const float[]){1, 2});
    refuses(&layer, &in, "axis 2 has 3 and 2 numbers");
}

static void tensors_are_broadcast_but_not_over_the_batch(void **state)
{
    (void)state;
    struct layer layer;
    const struct layer_shape in[] = {SHAPE(2, 1), SHAPE(2, 3)}, bad[] = {SHAPE(2, 3), SHAPE(3)};
    const float two[] = {10, 20}, *x[] = {two, six};
    open_layer(&layer, &layer_arithmetic);
    layer.n_inputs = 2;
    ((struct arithmetic *)layer.own)->operation = ARITHMETIC_SUBTRACT;
    gives(&layer, in, x, in[1], (const float[]){9, 8, 7, 16, 15, 14});
    open_layer(&layer, &layer_arithmetic);
    layer.n_inputs = 2;
    refuses(&layer, bad, "the batch would be matched");
}

static struct get_item *open_item(struct layer *layer, size_t n)
{
    open_layer(layer, &layer_get_item);
    struct get_item *own = layer->own;
    *own = (struct get_item){.n = n, .n_first = n, .batch = true, .picks = {{.step = 1}, {.step = 1}, {.step = 1}}};
    return own;
}

static void slices_are_those_of_python(void **state)
{
    (void)state;
    struct layer layer;
    const struct layer_shape in = SHAPE(2, 3);
    const float *x[] = {six};
    open_item(&layer, 2)->picks[1] = (struct pick){.how = PICK_INDEX, .start = -1};
    gives(&layer, &in, x, SHAPE(3), (const float[]){4, 5, 6});
    open_item(&layer, 3)->picks[2] = (struct pick){.step = -2};
    gives(&layer, &in, x, SHAPE(2, 2), (const float[]){3, 1, 6, 4});
    open_item(&layer, 3)->picks[2] =
        (struct pick){.step = 1, .has_start = true, .start = -2, .has_stop = true, .stop = 9};
    gives(&layer, &in, x, SHAPE(2, 2), (const float[]){2, 3, 5, 6});
    open_item(&layer, 2)->picks[1] = (struct pick){.how = PICK_NEW_AXIS};
    gives(&layer, &in, x, SHAPE(1, 2, 3), six);
    open_item(&layer, 2)->picks[1] = (struct pick){.how = PICK_REPEAT, .times = 2};
    gives(&layer, &in, x, SHAPE(4, 3), (const float[]){1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6});
    open_item(&layer, 3)->picks[2] = (struct pick){.how = PICK_TILE, .times = 2};
    gives(&layer, &in, x, SHAPE(2, 6), (const float[]){1, 2, 3, 1, 2, 3, 4, 5, 6, 4, 5, 6});
    struct get_item *own = open_item(&layer, 1); /* x[..., 1] */
    own->picks[0] = (struct pick){.how = PICK_INDEX, .start = 1};
    own->batch = false;
    own->n_first = 0;
    gives(&layer, &in, x, SHAPE(2), (const float[]){2, 5});
    open_item(&layer, 2)->picks[1] = (struct pick){.how = PICK_INDEX, .start = 2};
    refuses(&layer, &in, "does not have");
    open_item(&layer, 2)->picks[1] = (struct pick){.step = 1, .has_start = true, .start = 5};
    refuses(&layer, &in, "does not have");
}

static void reduce_to(enum reduce_operation operation, long axis, bool keepdims, struct layer_shape shape,
                      const float *want)
{
    struct layer layer;
    const struct layer_shape in = SHAPE(2, 3);
    open_layer(&layer, &layer_reduce);
    *(struct reduce *)layer.own = (struct reduce){.operation = operation, .n = 1, .axes = {axis}, .keepdims = keepdims};
    gives(&layer, &in, (const float *const[]){six}, shape, want);
}

static void axes_are_reduced(void **state)
{
    (void)state;
    reduce_to(REDUCE_SUM, 1, false, SHAPE(3), (const float[]){5, 7, 9});
    reduce_to(REDUCE_MEAN, -1, true, SHAPE(2, 1), (const float[]){2, 5});
    reduce_to(REDUCE_MAX, 2, false, SHAPE(2), (const float[]){3, 6});
    reduce_to(REDUCE_MIN, 1, false, SHAPE(3), (const float[]){1, 2, 3});
    reduce_to(REDUCE_PRODUCT, 1, false, SHAPE(3), (const float[]){4, 10, 18});
    reduce_to(REDUCE_VARIANCE, 2, false, SHAPE(2), (const float[]){2.F / 3, 2.F / 3});
    reduce_to(REDUCE_LOG_SUM_EXP, 2, false, SHAPE(2), (const float[]){3.4076059F, 6.4076059F});
    struct layer layer;
    const struct layer_shape in = SHAPE(2, 3);
    open_layer(&layer, &layer_reduce);
    *(struct reduce *)layer.own = (struct reduce){.n = 1, .axes = {0}};
    refuses(&layer, &in, "no axis 0 after the batch");
}

static void lines_along_an_axis_sum_to_one(void **state)
{
    (void)state;
    struct layer layer;
    const struct layer_shape in = SHAPE(2, 3);
    open_layer(&layer, &layer_along);
    *(struct along *)layer.own = (struct along){.operation = ALONG_SOFTMAX, .axis = 1};
    const float low = 0.047425873F, high = 0.952574127F;
    gives(&layer, &in, (const float *const[]){six}, in, (const float[]){low, low, low, high, high, high});
    open_layer(&layer, &layer_along);
    *(struct along *)layer.own = (struct along){.operation = ALONG_SUM_SO_FAR, .axis = 2};
    gives(&layer, &in, (const float *const[]){six}, in, (const float[]){1, 3, 6, 4, 9, 15});
}

static void matrices_are_multiplied(void **state)
{
    (void)state;
    struct layer layer;
    const struct layer_shape in[] = {SHAPE(2, 3), SHAPE(2, 3)};
    const float *x[] = {six, six};
    open_layer(&layer, &layer_matmul);
    layer.n_inputs = 2;
    ((struct matmul *)layer.own)->transposed[1] = true;
    gives(&layer, in, x, SHAPE(2, 2), (const float[]){14, 32, 32, 77});
    open_layer(&layer, &layer_matmul);
    layer.n_inputs = 2;
    ((struct matmul *)layer.own)->transposed[0] = true;
    gives(&layer, in, x, SHAPE(3, 3), (const float[]){17, 22, 27, 22, 29, 36, 27, 36, 45});
    open_layer(&layer, &layer_matmul);
    layer.n_inputs = 2;
    refuses(&layer, in, "the first matrix has 3 columns, the second 2 rows");
}

/* x[:, -1] and operations on single timesteps can be streamed; operations that mix timesteps cannot. */
static void operations_know_whether_they_can_be_streamed(void **state)
{
    (void)state;
    struct layer layer;
    const struct layer_shape in = {.sequence = true, .width = 3};
    open_item(&layer, 2)->picks[1] = (struct pick){.how = PICK_INDEX, .start = -1};
    build(&layer, &in);
    assert_int_equal(layer_time_of(&layer), TIME_LAST);
    layer_close(&layer);
    open_item(&layer, 2)->picks[1] = (struct pick){.how = PICK_INDEX};
    build(&layer, &in);
    assert_int_equal(layer_time_of(&layer), TIME_WHOLE);
    layer_close(&layer);
    open_item(&layer, 3)->picks[2] = (struct pick){.step = 1, .has_start = true, .start = 1};
    build(&layer, &in);
    assert_int_equal(layer_time_of(&layer), TIME_POINTWISE);
    layer_close(&layer);
    constant(&layer, ARITHMETIC_ADD, false, 2, 2, (const float[]){10, 20});
    build(&layer, &in);
    assert_int_equal(layer_time_of(&layer), TIME_WHOLE);
    layer_close(&layer);
    constant(&layer, ARITHMETIC_ADD, false, 0, 1, (const float[]){10});
    build(&layer, &in);
    assert_int_equal(layer_time_of(&layer), TIME_POINTWISE);
    layer_close(&layer);
}

/* An LSTM with return_sequences, then x[:, at]. */
static void make_lstm_and_item(struct graph *graph, long at)
{
    const struct layer_shape input = {.sequence = true, .width = 2};
    float weights[2 * 12 + 3 * 12 + 12];
    *graph = (struct graph){.n_layers = 0};
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++)
        weights[i] = (float)sin((double)i);
    assert_int_not_equal(graph_input(graph, "x", &input), GRAPH_NONE);
    struct layer *lstm = graph_add(graph);
    assert_int_equal(layer_open(lstm, &layer_recurrent, NULL), RNN_OK);
    struct recurrent *own = lstm->own;
    own->cells[0] = unit_leaf(&cell_lstm, 3);
    own->n_parts = 1;
    own->parts[0].return_sequences = true;
    const float *const tensors[] = {weights, weights + 24, weights + 60};
    assert_int_equal(layer_build(lstm, &input, tensors, vec_available(0), NULL), RNN_OK);
    const struct layer_shape between = {.sequence = true, .width = 3};
    struct layer *item = graph_add(graph);
    assert_int_equal(layer_open(item, &layer_get_item, NULL), RNN_OK);
    *(struct get_item *)item->own = (struct get_item){
        .n = 2, .n_first = 2, .batch = true, .picks = {{.step = 1}, {.how = PICK_INDEX, .start = at}}};
    build(item, &between);
    assert_int_equal(graph_finish(graph, NULL), RNN_OK);
}

static void the_last_timestep_streams_and_the_first_does_not(void **state)
{
    (void)state;
    struct graph graph;
    make_lstm_and_item(&graph, -1);
    assert_true(graph.streamable && graph.divisible);
    assert_false(graph.outputs[0].shape.sequence);
    assert_int_equal(graph.outputs[0].shape.width, 3);
    graph_close(&graph);
    make_lstm_and_item(&graph, 0);
    assert_false(graph.streamable || graph.divisible);
    graph_close(&graph);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constants_are_left_or_right_operands),
        cmocka_unit_test(tensors_are_broadcast_but_not_over_the_batch),
        cmocka_unit_test(slices_are_those_of_python),
        cmocka_unit_test(axes_are_reduced),
        cmocka_unit_test(lines_along_an_axis_sum_to_one),
        cmocka_unit_test(matrices_are_multiplied),
        cmocka_unit_test(operations_know_whether_they_can_be_streamed),
        cmocka_unit_test(the_last_timestep_streams_and_the_first_does_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
