/* Conversion of ONNX graphs, as the reader gives them, to layers: classes, weights, and errors. */
#include "tests/unit/config/onnx/made.h"

/* ---- recurrent layers ---- */

#define LSTM_WEIGHTS                                                                                                   \
    NODE("Unsqueeze", "'w'", "'W'", "'axes': [0]")                                                                     \
    ", " NODE("Unsqueeze", "'r'", "'R'", "'axes': [0]") ", " NODE("Unsqueeze", "'b'", "'B'", "'axes': [0]")
#define LSTM_TENSORS "'w': 'w', 'r': 'r', 'b': 'b'"
#define LSTM_NODE(more)                                                                                                \
    NODE("Transpose", "'x'", "'t'", "'perm': [1, 0, 2]")                                                               \
    ", " LSTM_WEIGHTS ", " NODE("LSTM", "'t', 'W', 'R', 'B'", "'Y', 'Yh'", "'hidden_size': 2" more)

static void add_lstm(struct made *m)
{
    unit_tensor(&m->set, "w", 8, 3);
    unit_tensor(&m->set, "r", 8, 2);
    unit_tensor(&m->set, "b", 16, 0);
}

/* ONNX's gates i o f c become i f c o; the two biases become one. */
static void an_lstm_takes_its_gates_in_our_order(void **state)
{
    static const size_t order[] = {0, 2, 3, 1};
    struct made m = {.input_size = 0};
    (void)state;
    add_lstm(&m);
    taken(GRAPH(IN("x", "'N', 'T', 3"), IN("last", ""), LSTM_TENSORS,
                LSTM_NODE("") ", " NODE("Squeeze", "'Y'", "'s'", "'axes': [1]") ", " NODE(
                    "Transpose", "'s'", "'u'",
                    "'perm': [1, 0, 2]") ", " NODE("Constant", "", "'k'",
                                                   "'value_int': -1") ", " NODE("Gather", "'u', 'k'", "'last'",
                                                                                "'axis': 1")),
          &m);
    layers_are(&m, "LSTM ");
    gives(&m, 0, "[2]");
    assert_false(layer_part(&m.config.model.layers[0], 0)->return_sequences);
    const struct named_tensor *kernel = tensor_set_find(&m.tensors, "layers.0.cells.0.kernel"),
                              *bias = tensor_set_find(&m.tensors, "layers.0.cells.0.bias");
    for (size_t g = 0; g < 4; g++)
        for (size_t u = 0; u < 2; u++) {
            size_t row = order[g] * 2 + u;
            double b = 24 + 16; /* the count of numbers in the tensors before this one */
            for (size_t i = 0; i < 3; i++)
                assert_near(tensor_element(kernel, i * 8 + g * 2 + u), (double)(row * 3 + i) / 16, 0);
            assert_near(tensor_element(bias, g * 2 + u), (2 * b + 2 * (double)row + 8) / 16, 0);
        }
    close_made(&m);
}

static void final_states_are_outputs_beside_the_sequence(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    add_lstm(&m);
    taken(GRAPH(IN("x", "'N', 6, 3"), IN("Y", "") ", " IN("Yh", ""), LSTM_TENSORS, LSTM_NODE("")), &m);
    gives(&m, 0, "[6, 1, 2]");
    gives(&m, 1, "[1, 2]");
    assert_string_equal(m.config.model.inputs[0].name, "x");
    close_made(&m);
}

static void options_without_support_of_cells_are_refused(void **state)
{
    static const struct {
        const char *graph, *line;
    } rows[] = {
        {GRAPH(IN("x", "'N', 6, 3"), IN("Yh", ""), LSTM_TENSORS, LSTM_NODE(", 'clip': 1.0")),
         "node \"Y\" (LSTM) has \"clip\""},
        {GRAPH(IN("x", "'N', 6, 3"), IN("Yh", ""), LSTM_TENSORS, LSTM_NODE(", 'input_forget': 1")), "input_forget"},
        {GRAPH(IN("x", "'N', 6, 3"), IN("Yh", ""), LSTM_TENSORS, LSTM_NODE(", 'direction': 'sideways'")),
         "has direction \"sideways\""},
        {GRAPH(IN("x", "'N', 6, 3"), IN("Yh", ""), LSTM_TENSORS, LSTM_NODE(", 'activations': ['Sigmoid', 'Sinus']")),
         "activation \"Sinus\""},
        {GRAPH(IN("x", "'N', 6, 4"), IN("Yh", ""), LSTM_TENSORS, LSTM_NODE("")), "has weights for 3 features"},
        {GRAPH(IN("x", "'N', 6, 3"), IN("Yh", ""), "", LSTM_NODE("")), "takes \"w\", which nothing before it gives"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct made m = {.input_size = 0};
        add_lstm(&m);
        refused(rows[i].graph, &m, rows[i].line);
    }
}

/* ---- shapes ---- */

/* Shape, Gather and Concat compute the target of a Reshape; the sizes of batch and timesteps are not known. */
static void arithmetic_with_open_sizes_is_folded(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    taken(
        GRAPH(
            IN("x", "'N', 'T', 6"), IN("y", ""), "",
            NODE("Shape", "'x'", "'s'", "") ", " NODE("Constant", "", "'0'", "'value_ints': [0]") ", " NODE("Constant", "", "'1'", "'value_ints': [1]") ", " NODE(
                "Gather", "'s', '0'", "'n'",
                "") ", " NODE("Gather", "'s', '1'", "'t'",
                              "") ", " NODE("Constant", "", "'c'",
                                            "'value_ints': [2, 3]") ", " NODE("Concat", "'n', 't', 'c'", "'to'",
                                                                              "'axis': 0") ", " NODE("Reshape",
                                                                                                     "'x', 'to'", "'r'",
                                                                                                     "") ", " NODE("Rel"
                                                                                                                   "u",
                                                                                                                   "'r"
                                                                                                                   "'",
                                                                                                                   "'y"
                                                                                                                   "'",
                                                                                                                   "")),
        &m);
    layers_are(&m, "Relu Reshape ");
    gives(&m, 0, "[0, 2, 3]");
    close_made(&m);
}

static void axes_that_come_back_cost_no_layer(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    taken(GRAPH(IN("x", "'N', 4, 6"), IN("y", ""), "",
                NODE("Transpose", "'x'", "'a'", "'perm': [2, 0, 1]") ", " NODE(
                    "Unsqueeze", "'a'", "'b'",
                    "'axes': [1]") ", " NODE("Tanh", "'b'", "'c'",
                                             "") ", " NODE("Squeeze", "'c'", "'d'",
                                                           "'axes': [1]") ", " NODE("Transpose", "'d'", "'y'",
                                                                                    "'perm': [1, 2, 0]")),
          &m);
    layers_are(&m, "Tanh ");
    gives(&m, 0, "[4, 6]");
    close_made(&m);
}

static void a_reshape_that_mixes_the_batch_is_refused(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    refused(GRAPH(IN("x", "'N', 4, 6"), IN("y", ""), "",
                  NODE("Constant", "", "'to'", "'value_ints': [4, -1]") ", " NODE(
                      "Reshape", "'x', 'to'", "'r'", "") ", " NODE("Relu", "'r'", "'y'", "")),
            &m, "(Reshape) gives a shape that mixes the batch");
}

/* A request has the batch first, also if another axis is the batch in the file. */
static void the_batch_is_found_by_the_recurrent_node(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    add_lstm(&m);
    taken(GRAPH(IN("x", "5, 7, 3"), IN("Yh", ""), LSTM_TENSORS,
                LSTM_WEIGHTS ", " NODE("LSTM", "'x', 'W', 'R', 'B'", "'Y', 'Yh'", "")),
          &m);
    assert_int_equal(m.config.model.inputs[0].shape.timesteps, 5);
    gives(&m, 0, "[1, 2]");
    close_made(&m);
}

/* ---- dense layers ---- */

static void a_product_takes_its_bias_and_activation(void **state)
{
    struct made m = {.input_size = 0};
    (void)state;
    unit_tensor(&m.set, "w", 3, 2);
    unit_tensor(&m.set, "b", 2, 0);
    taken(GRAPH(IN("x", "'N', 3"), IN("y", ""), "'w': 'w', 'b': 'b'",
                NODE("MatMul", "'x', 'w'", "'p'", "") ", " NODE("Add", "'b', 'p'", "'s'",
                                                                "") ", " NODE("Sigmoid", "'s'", "'y'", "")),
          &m);
    layers_are(&m, "Dense ");
    assert_near(tensor_element(tensor_set_find(&m.tensors, "layers.0.bias"), 1), 7.0 / 16, 0);
    close_made(&m);
}

/* ---- constants, states, refusals ---- */

#define IF_GRAPH                                                                                                       \
    GRAPH(IN("x", "'N', 3") ", {'name': 'sr', 'type': 7, 'shape': []}", IN("y", ""), "",                               \
          NODE("Constant", "", "'k'", "'value_int': 16000") ", " NODE("Equal", "'sr', 'k'", "'c'", "") ", " NODE(      \
              "If", "'c'", "'y'",                                                                                      \
              "'then_branch': {'graph': {'nodes': [" NODE(                                                             \
                  "Relu", "'x'", "'a'",                                                                                \
                  "") "], 'inputs': [], 'outputs': ["                                                                  \
                      "{'name': 'a'}], 'tensors': {}}}, 'else_branch': {'graph': {'nodes': [" NODE(                    \
                          "Tanh", "'x'", "'b'", "") "], 'inputs': [], 'outputs': [{'name': 'b'}], 'tensors': {}}}"))

static void a_constant_chooses_the_branch(void **state)
{
    struct made m = {.constants = unit_json("{'sr': 16000}")}, other = {.constants = unit_json("{'sr': 8000}")};
    struct made none = {.input_size = 0};
    (void)state;
    taken(IF_GRAPH, &m);
    layers_are(&m, "Relu ");
    close_made(&m);
    taken(IF_GRAPH, &other);
    layers_are(&other, "Tanh ");
    close_made(&other);
    refused(IF_GRAPH, &none, "\"constants\": {\"sr\"");
}

#define STATES(more)                                                                                                   \
    GRAPH(IN("x", "'N', 'T', 3") ", " IN("h", "1, 'N', 2") ", " IN("c", "1, 'N', 2"),                                  \
          IN("Y", "") ", " IN("hn", "") ", " IN("cn", ""), LSTM_TENSORS,                                               \
          NODE("Transpose", "'x'", "'t'", "'perm': [1, 0, 2]") ", " LSTM_WEIGHTS ", " NODE(                            \
              "LSTM", "'t', 'W', 'R', 'B', '', 'h', 'c'", "'Y', 'hn', 'c2'", "") ", " more)

/* A graph's states become those of the LSTM layer if the LSTM takes and gives them unchanged. Otherwise the graph
   becomes the cell of a layer. */
static void states_become_those_of_a_row(void **state)
{
    struct made m = {.states = unit_json("{'h': 'hn', 'c': 'cn'}")};
    struct made other = {.states = unit_json("{'h': 'hn', 'c': 'cn'}")};
    struct made wrong = {.states = unit_json("{'h': 'none'}")};
    (void)state;
    add_lstm(&m);
    taken(STATES(NODE("Identity", "'c2'", "'cn'", "")), &m);
    layers_are(&m, "LSTM Reshape ");
    assert_int_equal(m.config.model.n_inputs, 1);
    assert_int_equal(m.config.model.n_outputs, 1);
    assert_int_equal(m.config.model.state_elems, 4);
    assert_true(m.config.model.divisible);
    close_made(&m);
    add_lstm(&other);
    refused(STATES(NODE("Tanh", "'c2'", "'cn'", "")), &other, "of open size");
    add_lstm(&wrong);
    refused(STATES(NODE("Identity", "'c2'", "'cn'", "")), &wrong, "has no output \"none\"");
}

static void a_graph_with_states_of_its_own_is_a_cell(void **state)
{
    struct made m = {.states = unit_json("{'s': 'sn'}")};
    (void)state;
    taken(GRAPH(IN("x", "'N', 3") ", " IN("s", "'N', 3"), IN("y", "") ", " IN("sn", ""), "",
                NODE("Add", "'x', 's'", "'sn'", "") ", " NODE("Tanh", "'sn'", "'y'", "")),
          &m);
    layers_are(&m, "Step ");
    gives(&m, 0, "[0, 3]");
    assert_int_equal(m.config.model.state_elems, 3);
    assert_true(m.config.model.divisible);
    close_made(&m);
}

static void what_is_not_served_is_named(void **state)
{
    static const struct {
        const char *graph, *line;
    } rows[] = {
        {GRAPH(IN("x", "'N', 3"), IN("y", ""), "", NODE("Det", "'x'", "'y'", "")), "node \"y\" (Det) is an operator"},
        {GRAPH(IN("x", "'N', 3"), IN("y", ""), "",
               "{'op': 'Normalizer', 'domain': 'ai.onnx.ml', 'in': ['x'], 'out': ['y'], 'attributes': {}}"),
         "is of the domain ai.onnx.ml"},
        {GRAPH(IN("x", "'N', 3"), IN("x", ""), "", ""), "no layer"},
        {GRAPH("", IN("y", ""), "", NODE("Constant", "", "'y'", "'value_float': 1.0")), "does not depend"},
        {GRAPH(IN("x", "'N', 3"), IN("y", ""), "", NODE("ReduceMean", "'x'", "'y'", "'axes': [0]")),
         "mixes the rows of a batch"},
        {GRAPH(IN("x", "'N', 3, 'T'"), IN("y", ""), "", NODE("Relu", "'x'", "'y'", "")), "export the model with"},
        {GRAPH(IN("x", "'N', 3"), IN("y", ""), "", NODE("Relu", "'z'", "'y'", "")), "takes \"z\", which nothing"},
        {GRAPH(IN("x", "'N', 3"), IN("y", ""), "", NODE("Transpose", "'x'", "'y'", "'perm': [0, 5]")), "has axis 5"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct made m = {.input_size = 0};
        refused(rows[i].graph, &m, rows[i].line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(an_lstm_takes_its_gates_in_our_order),
                                       cmocka_unit_test(final_states_are_outputs_beside_the_sequence),
                                       cmocka_unit_test(options_without_support_of_cells_are_refused),
                                       cmocka_unit_test(arithmetic_with_open_sizes_is_folded),
                                       cmocka_unit_test(axes_that_come_back_cost_no_layer),
                                       cmocka_unit_test(a_reshape_that_mixes_the_batch_is_refused),
                                       cmocka_unit_test(the_batch_is_found_by_the_recurrent_node),
                                       cmocka_unit_test(a_product_takes_its_bias_and_activation),
                                       cmocka_unit_test(a_constant_chooses_the_branch),
                                       cmocka_unit_test(states_become_those_of_a_row),
                                       cmocka_unit_test(a_graph_with_states_of_its_own_is_a_cell),
                                       cmocka_unit_test(what_is_not_served_is_named)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
