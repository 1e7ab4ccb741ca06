/* Operators of ONNX: the layers that they become, and errors. */
#include "core/layers/conv.h"
#include "core/layers/gather.h"
#include "core/layers/pool.h"
#include "tests/unit/config/onnx/made.h"

#define X3 IN("x", "'N', 3, 8") /* [batch, channels, length] */
#define OUT IN("y", "")
#define CONSTANT(name, key, value) NODE("Constant", "", "'" name "'", "'" key "': " value)
#define CONV(more) GRAPH(X3, OUT, "'w': 'w'", NODE("Conv", "'x', 'w'", "'y'", more))

/* [filters 4][channels 3][window 3] */
static void add_kernel(struct made *m)
{
    unit_tensor(&m->set, "w", 36, 0);
    struct named_tensor *tensor = tensor_set_find(&m->set, "w");
    tensor->rank = 3;
    tensor->shape[0] = 4;
    tensor->shape[1] = tensor->shape[2] = 3;
}

/* A causal convolution (padding only before the input, strides of 1) can be run step by step, in sessions and
   streams. */
static void a_causal_convolution_carries_its_last_inputs(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    add_kernel(&m);
    taken(CONV("'pads': [4, 0], 'dilations': [2]"), &m);
    layers_are(&m, "Permute Conv1D Permute ");
    gives(&m, 0, "[4, 8]");
    const struct conv *conv = m.config.model.layers[1].own;
    assert_int_equal(conv->window.padding, WINDOW_CAUSAL);
    close_made(&m);
}

static void paddings_of_windows_are_those_of_the_file(void **state)
{
    static const struct {
        const char *attributes, *shape;
        size_t before, after;
    } rows[] = {
        {"", "[4, 6]", 0, 0},
        {"'pads': [1, 2]", "[4, 9]", 1, 2},
        {"'auto_pad': 'SAME_UPPER', 'strides': [2]", "[4, 4]", 0, 1},
        {"'auto_pad': 'SAME_LOWER', 'strides': [2]", "[4, 4]", 1, 0},
        {"'auto_pad': 'VALID', 'strides': [3]", "[4, 2]", 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[1000];
        struct made m = {.input_size = 0};
        add_kernel(&m);
        snprintf(text, sizeof text, CONV("%s"), rows[i].attributes);
        taken(text, &m);
        gives(&m, 0, rows[i].shape);
        const struct conv *conv = m.config.model.layers[1].own;
        assert_int_equal(conv->window.before[1], rows[i].before);
        assert_int_equal(conv->window.after[1], rows[i].after);
        close_made(&m);
    }
}

/* With ceil_mode the last window may extend beyond the input; the elements beyond do not count. */
static void a_pool_rounds_up(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    taken(GRAPH(X3, OUT, "", NODE("MaxPool", "'x'", "'y'", "'kernel_shape': [3], 'strides': [2], 'ceil_mode': 1")), &m);
    gives(&m, 0, "[3, 4]");
    const struct pool_window *pool = m.config.model.layers[1].own;
    assert_int_equal(pool->window.after[1], 1);
    close_made(&m);
}

static void elements_are_gathered_and_mirrored(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    taken(
        GRAPH(X3, OUT, "",
              CONSTANT("k", "value_ints", "[-1, 0]") ", " NODE("Gather", "'x', 'k'", "'g'", "'axis': 2") ", " CONSTANT(
                  "p", "value_ints", "[0, 2, 0, 0, 1, 0]") ", " NODE("Pad", "'g', 'p'", "'y'", "'mode': 'reflect'")),
        &m);
    layers_are(&m, "Gather Pad ");
    gives(&m, 0, "[6, 2]");
    const struct gather *list = m.config.model.layers[0].own, *pad = m.config.model.layers[1].own;
    assert_int_equal(list->list[0], -1);
    assert_int_equal(pad->how, GATHER_REFLECT);
    assert_int_equal(pad->axis, 0);
    close_made(&m);
}

/* Keras 3 adds the size of the table to negative ids. Requests have no negative ids, so these nodes are left out. */
static void ids_are_those_of_the_input(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    unit_tensor(&m.set, "w", 9, 3);
    taken(
        GRAPH("{'name': 'x', 'type': 7, 'shape': ['N', 5]}", OUT, "'w': 'w'",
              CONSTANT("0", "value_int", "0") ", " CONSTANT("9", "value_int", "9") ", " NODE(
                  "Less", "'x', '0'", "'l'",
                  "") ", " NODE("Add", "'x', '9'", "'a'", "") ", " NODE("Where", "'l', 'a', 'x'", "'i'",
                                                                        "") ", " NODE("Gather", "'w', 'i'", "'y'", "")),
        &m);
    layers_are(&m, "Embedding ");
    close_made(&m);
}

static void what_is_not_served_says_so(void **state)
{
    static const struct {
        const char *graph, *line;
    } rows[] = {
        {CONV("'group': 2"), "node \"y\" (Conv) has weights [4, 3, …] in 2 groups, and its input has 3 channels"},
        {CONV("'pads': [1]"), "has 1 pads for 1 axes"},
        {CONV("'pads': [-1, 0]"), "has negative pads; cut the input with a Slice"},
        {CONV("'strides': [0]"), "has 0 in strides"},
        {CONV("'dilations': [5]"), "has windows of 11, and its input has a size of 8"},
        {GRAPH(X3, OUT, "", NODE("MaxPool", "'x'", "'y'", "")), "is served with a kernel_shape"},
        {GRAPH(X3, OUT, "", NODE("MaxPool", "'x'", "'y'", "'kernel_shape': [2], 'dilations': [2]")),
         "is served with dilations of 1"},
        {GRAPH(X3, OUT, "",
               NODE("AveragePool", "'x'", "'y'", "'kernel_shape': [2], 'count_include_pad': 1, 'ceil_mode': 1")),
         "not with both"},
        {GRAPH(X3, OUT, "", NODE("MaxPool", "'x'", "'y', 'z'", "'kernel_shape': [9]")), "has windows of 9"},
        {GRAPH(X3, OUT, "'w': 'w'", NODE("BatchNormalization", "'x', 'w', 'w', 'w', 'w'", "'y'", "")),
         "has operand 2 of another size than the 3 numbers of its axes"},
        {GRAPH(X3, OUT, "'w': 'w'", NODE("BatchNormalization", "'x', 'w', 'w', 'w', 'w'", "'y'", "'training_mode': 1")),
         "export the model in its evaluation mode"},
        {GRAPH(X3, OUT, "'w': 'w'", NODE("LayerNormalization", "'x', 'w'", "'y'", "'axis': 0")),
         "mixes the rows of a batch"},
        {GRAPH(X3, OUT, "", NODE("LpNormalization", "'x'", "'y'", "'p': 1")), "is served with p 2"},
        {GRAPH(X3, OUT, "", CONSTANT("p", "value_ints", "[0, 2]") ", " NODE("Pad", "'x', 'p'", "'y'", "")),
         "has 2 pads for an input of 3 axes"},
        {GRAPH(X3, OUT, "",
               CONSTANT("p", "value_ints", "[0, 0, 0, 0, 0, 8]") ", " NODE("Pad", "'x', 'p'", "'y'",
                                                                           "'mode': 'reflect'")),
         "mirrors more elements than its input has"},
        {GRAPH(X3, OUT, "",
               CONSTANT("p", "value_ints", "[0, 0, 0, 0, 0, 1]") ", " NODE("Pad", "'x', 'p'", "'y'", "'mode': 'wrap'")),
         "it has \"wrap\""},
        {GRAPH(X3, OUT, "", CONSTANT("p", "value_ints", "[1, 0, 0, 0, 0, 0]") ", " NODE("Pad", "'x', 'p'", "'y'", "")),
         "works along the batch"},
        {GRAPH(X3, OUT, "", CONSTANT("k", "value_ints", "[0, 8]") ", " NODE("Gather", "'x', 'k'", "'y'", "'axis': 2")),
         "has an index that is not known, or that its input does not have"},
        {GRAPH(X3, OUT, "",
               CONSTANT("k", "value_ints", "[8, 60000000]") ", " NODE("ConstantOfShape", "'k'", "'c'",
                                                                      "") ", " NODE("MatMul", "'x', 'c'", "'y'", "")),
         "constants that are too large for a file of this size"},
        {GRAPH(X3, OUT, "", NODE("Transpose", "", "'t'", "") ", " NODE("Add", "'x', 't'", "'y'", "")),
         "(Transpose) is served with operand 1 that depends on the model's input"},
        {GRAPH(X3, OUT, "", CONSTANT("k", "value_ints", "[1]") ", " NODE("Sub", "'k', ''", "'y'", "")),
         "(Sub) is served with two operands"},
        {GRAPH(X3, OUT, "", CONSTANT("k", "value_ints", "[1]") ", " NODE("Where", "'k', '', 'k'", "'y'", "")),
         "(Where) cannot be computed"},
        {GRAPH(X3, OUT, "", CONSTANT("k", "value_ints", "[1]") ", " NODE("Concat", "'k', ''", "'y'", "'axis': 0")),
         "(Concat) joins constants that do not fit each other"},
        {GRAPH(X3, OUT, "", NODE("Where", "'x', 'x', 'x'", "'y'", "")), "is served with a condition that is known"},
        {GRAPH(X3, OUT, "", NODE("Loop", "'', '', 'x'", "'y'", "")), "whose body is no LSTM, GRU or simple RNN cell"},
        {GRAPH(X3, OUT, "", NODE("Scan", "'x'", "'y'", "")), "export the model with opset 15 or later"},
        {GRAPH(X3, OUT, "", NODE("Hardmax", "'x'", "'y'", "")), "(Hardmax) is an operator that is not served"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct made m = {.input_size = 0};
        add_kernel(&m);
        refused(rows[i].graph, &m, rows[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_causal_convolution_carries_its_last_inputs),
                                       cmocka_unit_test(paddings_of_windows_are_those_of_the_file),
                                       cmocka_unit_test(a_pool_rounds_up),
                                       cmocka_unit_test(elements_are_gathered_and_mirrored),
                                       cmocka_unit_test(ids_are_those_of_the_input),
                                       cmocka_unit_test(what_is_not_served_says_so)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
