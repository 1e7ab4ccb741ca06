#include "config/keras/model.h"
#include "core/layers/merge.h"
#include "tests/unit/unit.h"

static struct problems problems;

static bool read_layer(const char *text, struct keras_model *out)
{
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    bool good = keras_model_read(json, "m.json", "", NULL, &problems, out);
    json_decref(json);
    return good;
}

static void refused(const char *text, const char *line)
{
    struct keras_model layer;
    assert_false(read_layer(text, &layer));
    bool found = false;
    for (size_t i = 0; i < problems.n_errors; i++)
        found |= strstr(problems.errors[i], line) != NULL;
    if (!found)
        fail_msg("%s: no \"%s\" but \"%s\"", text, line, problems.n_errors ? problems.errors[0] : "");
    problems_close(&problems);
}

static void left_out_keys_take_keras_defaults(void **state)
{
    (void)state;
    struct keras_model layer;
    assert_true(read_layer("{\"class_name\": \"GRU\", \"config\": {\"units\": 3}}", &layer));
    assert_true(recurrent_of(&layer.model.layers[0])->cells[0]->reset_after &&
                recurrent_of(&layer.model.layers[0])->cells[0]->use_bias);
    assert_int_equal(recurrent_of(&layer.model.layers[0])->cells[0]->activation.kind, ACT_TANH);
    assert_int_equal(recurrent_of(&layer.model.layers[0])->cells[0]->recurrent_activation.kind, ACT_SIGMOID);
    assert_int_equal(recurrent_of(&layer.model.layers[0])->cells[0]->recurrent_initializer.kind, INIT_ORTHOGONAL);
    assert_false(recurrent_of(&layer.model.layers[0])->parts[0].return_sequences);
    assert_int_equal(layer.model.inputs[0].shape.width, 0);
    assert_int_equal(layer.keras_major, 2);
    keras_model_close(&layer);
}

static void layers_cells_stacks_and_lists_are_read(void **state)
{
    (void)state;
    struct keras_model layer;
    assert_true(read_layer(
        "{\"class_name\": \"RNN\", \"config\": {\"cell\": [{\"class_name\": \"LSTMCell\", \"config\": {\"units\": 2}}, "
        "{\"class_name\": "
        "\"StackedRNNCells\", \"config\": {\"cells\": [{\"class_name\": \"SimpleRNNCell\", \"config\": {\"units\": 3, "
        "\"use_bias\": false}}]}}],"
        " \"go_backwards\": true, \"return_sequences\": true, \"zero_output_for_mask\": true, \"time_major\": true}}",
        &layer));
    assert_int_equal(recurrent_of(&layer.model.layers[0])->cells[0]->n_cells, 2);
    assert_int_equal(recurrent_of(&layer.model.layers[0])->cells[0]->cells[1]->cells[0]->units, 3);
    assert_false(recurrent_of(&layer.model.layers[0])->cells[0]->cells[1]->cells[0]->use_bias);
    assert_true(recurrent_of(&layer.model.layers[0])->parts[0].go_backwards &&
                recurrent_of(&layer.model.layers[0])->parts[0].return_sequences &&
                recurrent_of(&layer.model.layers[0])->parts[0].zero_output_for_mask &&
                recurrent_of(&layer.model.layers[0])->parts[0].time_major);
    keras_model_close(&layer);
    assert_true(
        read_layer("{\"class_name\": \"LSTMCell\", \"config\": {\"units\": 2, \"unit_forget_bias\": false}}", &layer));
    assert_false(recurrent_of(&layer.model.layers[0])->cells[0]->unit_forget_bias);
    keras_model_close(&layer);
    assert_true(read_layer("{\"class_name\": \"keras.layers>StackedRNNCells\", \"config\": {\"reverse_state_order\": "
                           "true, \"cells\": [{\"class_name\": "
                           "\"GRUCell\", \"config\": {\"units\": 2}}]}}",
                           &layer));
    assert_true(recurrent_of(&layer.model.layers[0])->cells[0]->reverse_state_order);
    keras_model_close(&layer);
}

static void features_come_from_shapes(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"batch_input_shape\": [null, null, 7]}}",
        "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2}, \"build_config\": {\"input_shape\": [null, 5, 7]}}",
        "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"build_input_shape\": {\"class_name\": \"__tuple__\", "
        "\"items\": [null, null, 7]}}}",
        "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2}, \"build_input_shape\": [3, 7]}"};
    for (size_t i = 0; i < 4; i++) {
        struct keras_model layer;
        assert_true(read_layer(texts[i], &layer));
        assert_int_equal(layer.model.inputs[0].shape.width, 7);
        keras_model_close(&layer);
    }
}

static void keras_3_is_recognised(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{\"class_name\": \"LSTM\", \"keras_version\": \"3.1.0\", \"config\": {\"units\": 2, \"recurrent_activation\": "
        "\"hard_sigmoid\"}}",
        "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"recurrent_activation\": \"hard_sigmoid\", "
        "\"batch_shape\": [null, null, 1]}}",
        "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"recurrent_activation\": \"hard_sigmoid\", \"dtype\": "
        "{\"class_name\": \"DTypePolicy\", "
        "\"config\": {\"name\": \"float32\"}}}}"};
    for (size_t i = 0; i < 3; i++) {
        struct keras_model layer;
        assert_true(read_layer(texts[i], &layer));
        assert_int_equal(recurrent_of(&layer.model.layers[0])->cells[0]->recurrent_activation.kind,
                         ACT_HARD_SIGMOID_V3);
        keras_model_close(&layer);
    }
}

static void odd_keys_are_warned_about(void **state)
{
    (void)state;
    struct keras_model layer;
    assert_true(read_layer("{\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"activaton\": false, \"dtype\": "
                           "\"mixed_float16\", \"dropout\": 0.5, "
                           "\"kernel_regularizer\": {\"class_name\": \"L2\"}}}",
                           &layer));
    assert_int_equal(problems.n_warnings, 2);
    assert_string_equal(problems.warnings[1], "m.json: /config/dtype: \"mixed_float16\" is computed in float32");
    assert_non_null(strstr(problems.warnings[0], "m.json: /config/activaton: unknown key ignored"));
    keras_model_close(&layer);
    problems_close(&problems);
}

static void errors_name_their_place(void **state)
{
    (void)state;
    refused("{\"class_name\": \"LSTM\", \"config\": {}}",
            "/config/units: expected a whole number from 1 to 1048576, found nothing");
    refused("{\"class_name\": \"LSTM\", \"config\": {\"units\": -1}}", "/config/units: expected a whole number");
    refused("{\"class_name\": \"LSTM\", \"config\": {\"units\": 3, \"use_bias\": \"no\"}}",
            "/config/use_bias: expected true or false, found \"no\"");
    refused("{\"class_name\": \"Bidirectional\", \"config\": {}}", "/config/layer: expected an RNN, LSTM, GRU or");
    refused("{\"class_name\": \"Bidirektional\", \"config\": {}}", "did you mean \"Bidirectional\"?");
    refused("{\"class_name\": \"Lambda\", \"config\": {}}",
            "a Lambda layer contains Python code, which cellserve does not run");
    refused("{\"class_name\": \"RNN\", \"config\": {}}",
            "/config/cell: expected a cell with class_name StackedRNNCells, SimpleRNNCell");
    refused("{\"class_name\": \"RNN\", \"config\": {\"cell\": []}}",
            "/config/cell: expected a list of at least one cell");
    refused(
        "{\"class_name\": \"RNN\", \"config\": {\"cell\": [{\"class_name\": \"LSTM\", \"config\": {\"units\": 1}}]}}",
        "/config/cell/0/class_name: expected");
    refused("{\"class_name\": \"RNN\", \"config\": {\"cell\": [{\"class_name\": \"LSTMCell\"}]}}",
            "/config/cell/0/config: expected an object");
    refused("{\"class_name\": \"RNN\", \"config\": {\"num_constants\": 1, \"cell\": {\"class_name\": \"LSTMCell\", "
            "\"config\": {\"units\": 1}}}}",
            "/config/num_constants: expected no constants");
    refused("{}", "expected an object with class_name and config");
}

static void nesting_is_bounded(void **state)
{
    (void)state;
    char text[8192] = "", *at = text;
    for (int i = 0; i < 40; i++)
        at += sprintf(at, "{\"class_name\": \"StackedRNNCells\", \"config\": {\"cells\": [");
    at += sprintf(at, "{\"class_name\": \"LSTMCell\", \"config\": {\"units\": 1}}");
    for (int i = 0; i < 40; i++)
        at += sprintf(at, "]}}");
    refused(text, "nested at most 16 deep");
}

/* Layers of a Functional model; the input of each is `from` or `inbound`. */
#define INPUT(name)                                                                                                    \
    "{\"class_name\": \"InputLayer\", \"config\": {\"name\": \"" name                                                  \
    "\", \"batch_input_shape\": [null, 5, 2]}, \"inbound_nodes\": []}"
#define LSTM(name, inbound)                                                                                            \
    "{\"class_name\": \"LSTM\", \"name\": \"" name "\", \"config\": {\"name\": \"" name                                \
    "\", \"units\": 3}, \"inbound_nodes\": [[" inbound "]]}"
#define DENSE(name, inbound)                                                                                           \
    "{\"class_name\": \"Dense\", \"config\": {\"name\": \"" name "\", \"units\": 2}, \"inbound_nodes\": [[" inbound    \
    "]]}"
#define FROM(name) "[\"" name "\", 0, 0, {}]"
#define FUNCTIONAL(layers, outputs)                                                                                    \
    "{\"class_name\": \"Functional\", \"config\": {\"name\": \"f\", \"layers\": [" layers                              \
    "], \"input_layers\": [[\"x\", 0, 0]], \"output_layers\": " outputs "}}"

#define STATES(name, call)                                                                                             \
    "{\"class_name\": \"LSTM\", \"name\": \"" name                                                                     \
    "\", \"config\": {\"units\": 2, \"return_state\": true}, \"inbound_nodes\": [[" call "]]}"

static void graphs_are_read_in_any_order(void **state)
{
    (void)state;
    struct keras_model model;
    /* the layers are listed in reverse order; states are outputs */
    assert_true(read_layer(FUNCTIONAL(DENSE("d", FROM("l")) "," STATES("l", FROM("x")) "," INPUT("x"),
                                      "[[\"d\", 0, 0], [[\"l\", 0, 1], [\"l\", 0, 2]]]"),
                           &model));
    const struct graph *graph = &model.model;
    assert_string_equal(graph->layers[0].name, "d"); /* layers keep the order of the file, because weights follow it */
    assert_string_equal(graph->layers[1].name, "l");
    assert_string_equal(model.places[0].group, "layers/dense");
    assert_string_equal(model.places[1].tensors, "layers.1.");
    assert_int_equal(graph->nodes[0].layer, 1);
    assert_int_equal(graph->inputs[0].shape.width, 2);
    assert_int_equal(graph->inputs[0].shape.timesteps, 5);
    assert_int_equal(graph->n_outputs, 3);
    assert_string_equal(graph->outputs[0].name, "d");
    assert_string_equal(graph->outputs[1].name, "l");
    assert_string_equal(graph->outputs[2].name, "l_1");
    keras_model_close(&model);
}

static void branches_states_and_shared_layers_become_nodes(void **state)
{
    (void)state;
    struct keras_model model;
    assert_true(read_layer(
        FUNCTIONAL(INPUT("x") "," STATES("l", FROM("x")) "," STATES(
                       "k", "[\"x\", 0, 0, {}], [\"l\", 0, 1, {}], [\"l\", 0, 2, "
                            "{}]") "," DENSE("a", FROM("k")) ","
                                                             "{\"class_name\": \"Add\", \"name\": \"s\", \"config\": "
                                                             "{}, \"inbound_nodes\": [[" FROM("a") "," FROM("a") "]]}",
                   "[[\"s\", 0, 0]]"),
        &model));
    const struct graph *graph = &model.model;
    const struct graph_node *decoder = &graph->nodes[graph_node_of(graph, 1)];
    assert_int_not_equal(decoder->initial, GRAPH_NONE); /* both states of the encoder, as one vector */
    assert_true(graph->layers[graph->nodes[graph->values[decoder->initial].node].layer].class == &layer_concatenate);
    const struct graph_node *sum = &graph->nodes[graph_node_of(graph, 3)];
    assert_int_equal(sum->n_inputs, 2);
    assert_int_equal(sum->inputs[0], sum->inputs[1]);
    keras_model_close(&model);
}

static void models_within_models_are_inlined(void **state)
{
    (void)state;
    struct keras_model model;
    assert_true(read_layer(
        "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": \"Sequential\", "
        "\"config\": {\"layers\": [{\"class_name\": \"Dense\", \"config\": {\"units\": 2, "
        "\"batch_input_shape\": [null, 5, 3]}}]}}, {\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}]}}",
        &model));
    assert_int_equal(model.model.n_nodes, 2);
    assert_int_equal(model.model.inputs[0].shape.width, 3);
    assert_string_equal(model.places[0].group, "layers/sequential/layers/dense");
    assert_string_equal(model.places[0].tensors, "layers.0.layers.0.");
    assert_true(model.places[0].nested);
    assert_string_equal(model.places[1].group, "layers/lstm");
    keras_model_close(&model);
}

static void errors_of_graphs_name_the_layer(void **state)
{
    (void)state;
    refused(FUNCTIONAL(INPUT("x") "," LSTM("l", FROM("x")) "," DENSE("a", "[\"l\", 0, 1, {}]"), "[[\"a\", 0, 0]]"),
            "layer \"l\" does not have an output that another layer takes");
    refused(FUNCTIONAL(INPUT("x") "," DENSE("a", FROM("b")) "," DENSE("b", FROM("a")), "[[\"a\", 0, 0]]"),
            "is part of a cycle");
    refused(FUNCTIONAL(INPUT("x") "," DENSE("a", FROM("x")), "[[\"z\", 0, 0]]"),
            "\"z\", which is not a layer of the model");
    refused(FUNCTIONAL(INPUT("x") "," DENSE("a", FROM("q")), "[[\"a\", 0, 0]]"),
            "layer \"a\" takes a tensor of a layer that does not exist: q");
    refused(FUNCTIONAL(INPUT("x") "," DENSE("a", "[\"x\", 0, 0, {\"training\": true}]"), "[[\"a\", 0, 0]]"),
            "is called with an argument that is not supported: training");
    refused("{\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": \"Sequential\", \"config\": "
            "{}}]}}",
            "/config/layers/0/config/layers: expected a list of 1 to 1024 layers");
    refused("{\"class_name\": \"Sequential\", \"config\": []}", "/config: expected a list of 1 to 1024 layers");
}

static void names_become_keras_groups(void **state)
{
    (void)state;
    static const char *const names[][2] = {{"LSTM", "lstm"},
                                           {"SimpleRNNCell", "simple_rnn_cell"},
                                           {"GRUCell", "gru_cell"},
                                           {"StackedRNNCells", "stacked_rnn_cells"},
                                           {"TimeDistributed", "time_distributed"},
                                           {"BatchNormalization", "batch_normalization"},
                                           {"ReLU", "re_lu"},
                                           {"LayerNormLSTMCell", "layer_norm_lstm_cell"},
                                           {"ELU", "elu"},
                                           {"GlobalAveragePooling1D", "global_average_pooling1d"}};
    char out[64];
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        keras_snake_case(names[i][0], out, sizeof out);
        assert_string_equal(out, names[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(left_out_keys_take_keras_defaults),
        cmocka_unit_test(layers_cells_stacks_and_lists_are_read),
        cmocka_unit_test(features_come_from_shapes),
        cmocka_unit_test(keras_3_is_recognised),
        cmocka_unit_test(odd_keys_are_warned_about),
        cmocka_unit_test(errors_name_their_place),
        cmocka_unit_test(nesting_is_bounded),
        cmocka_unit_test(graphs_are_read_in_any_order),
        cmocka_unit_test(branches_states_and_shared_layers_become_nodes),
        cmocka_unit_test(models_within_models_are_inlined),
        cmocka_unit_test(errors_of_graphs_name_the_layer),
        cmocka_unit_test(names_become_keras_groups),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
