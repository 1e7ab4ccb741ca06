/* Functional models: which of their graphs are plain chains, and which layer is named where they are not. */
#include "config/keras/graph.h"
#include "tests/unit/unit.h"

static struct problems problems;

/* The chain of a graph as text, "2 0 1"; NULL where it is refused. */
static const char *chain_of(const char *layers, const char *outputs)
{
    static char out[256];
    char *text = malloc(strlen(layers) + strlen(outputs) + 64);
    bool failed = false;
    struct keras_reader reader = {.file = "m.json", .keras_major = 2, .problems = &problems, .failed = &failed};
    size_t length = 0;
    sprintf(text, "{'layers': [%s], 'output_layers': %s}", layers, outputs);
    json_t *config = unit_json(text);
    size_t *order = keras_graph_chain(&reader, config, "/config/layers", &length);
    assert_int_equal(failed, !order);
    *out = 0;
    for (size_t i = 0; order && i < length; i++)
        sprintf(out + strlen(out), "%s%zu", i ? " " : "", order[i]);
    json_decref(config);
    free(text);
    bool good = order != NULL;
    free(order);
    return good ? out : NULL;
}

static void refused(const char *layers, const char *outputs, const char *line)
{
    if (chain_of(layers, outputs))
        fail_msg("%s is taken", layers);
    unit_has_error(&problems, layers, line);
    problems_close(&problems);
}

/* Layers as Keras 2 writes them; `inbound` are the tensors of one call. */
#define INPUT(name) "{'class_name': 'InputLayer', 'name': '" name "', 'config': {}, 'inbound_nodes': []}"
#define CALLED(class, name, inbound)                                                                                   \
    "{'class_name': '" class "', 'name': '" name "', 'config': {}, 'inbound_nodes': [[" inbound "]]}"
#define FROM(name) "['" name "', 0, 0, {}]"
#define WITH(name, arguments) "['" name "', 0, 0, {" arguments "}]"
#define OUT(name) "[['" name "', 0, 0]]"
/* And as Keras 3 does. */
#define TENSOR(name, n) "{'class_name': '__keras_tensor__', 'config': {'keras_history': ['" name "', 0, " n "]}}"
#define CALLED3(class, name, config, arguments, keywords)                                                              \
    "{'class_name': '" class "', 'name': '" name "', 'config': {" config "}, 'inbound_nodes': [{'args': [" arguments   \
                             "], 'kwargs': {" keywords "}}]}"

static void chains_are_found_in_any_order(void **state)
{
    (void)state;
    assert_string_equal(chain_of(INPUT("x") "," CALLED("LSTM", "l", FROM("x")), OUT("l")), "0 1");
    assert_string_equal(
        chain_of(CALLED("Dense", "d", FROM("l")) "," CALLED("LSTM", "l", FROM("x")) "," INPUT("x"), OUT("d")), "2 1 0");
    assert_string_equal(chain_of(INPUT("x"), OUT("x")), "0"); /* no layer but the input: the model's error */
    /* the output without a list around it; a name in the config alone */
    assert_string_equal(chain_of(INPUT("x") "," CALLED("LSTM", "l", FROM("x")), "['l', 0, 0]"), "0 1");
    assert_string_equal(
        chain_of("{'class_name': 'InputLayer', 'config': {'name': 'x'}}," CALLED("GRU", "l", FROM("x")), OUT("l")),
        "0 1");
    assert_string_equal(chain_of(INPUT("x") "," CALLED3("LSTM", "l", "", TENSOR("x", "0"), ""), OUT("l")), "0 1");
    assert_int_equal(problems.all_errors + problems.all_warnings, 0);
}

static void masks_of_keras_3_are_no_layers(void **state)
{
    (void)state;
    assert_string_equal(
        chain_of(INPUT("x") "," CALLED3("NotEqual", "ne", "", TENSOR("x", "0") ", 0.0",
                                        "") "," CALLED3("Any", "any", "", TENSOR("ne", "0"), "'axis': -1") ","    //
                 CALLED3("Masking", "m", "", TENSOR("x", "0"), "") "," CALLED3("LSTM", "l", "", TENSOR("m", "0"), //
                                                                               "'mask': " TENSOR("any", "0")),
                 OUT("l")),
        "0 3 4");
    static const char embedding[] =
        INPUT("x") "," CALLED3("NotEqual", "ne", "", TENSOR("x", "0") ", 0", "") "," CALLED3(
            "Embedding", "e", "'mask_zero': true", TENSOR("x", "0"), "") "," CALLED3("LSTM", "l", "", TENSOR("e", "0"),
                                                                                     "'mask': " TENSOR("ne", "0"));
    assert_string_equal(chain_of(embedding, OUT("l")), "0 2 3");
    assert_int_equal(problems.all_errors + problems.all_warnings, 0);
    /* a comparison that no layer of the chain would make */
    refused(INPUT("x") "," CALLED3("NotEqual", "ne", "", TENSOR("x", "0") ", 0", "") "," CALLED3(
                "Embedding", "e", "'mask_zero': false", TENSOR("x", "0"),
                "") "," CALLED3("LSTM", "l", "", TENSOR("e", "0"), "'mask': " TENSOR("ne", "0")),
            OUT("l"), "layer \"l\" takes as its mask what comes from ne");
    refused(INPUT("x") "," CALLED3("Any", "any", "", TENSOR("x", "0"),
                                   "") "," CALLED3("LSTM", "l", "", TENSOR("x", "0"), "'mask': " TENSOR("any", "0")),
            OUT("l"), "layer \"l\" takes as its mask what comes from any");
    refused(INPUT("x") "," CALLED("Dense", "d", FROM("x")) "," CALLED("LSTM", "l", WITH("x", "'mask': ['d', 0, 0]")),
            OUT("l"), "layer \"l\" takes as its mask what comes from d");
}

static void masks_and_states_may_be_inputs(void **state)
{
    (void)state;
    assert_string_equal(
        chain_of(INPUT("x") "," INPUT("m") "," CALLED("LSTM", "l", WITH("x", "'mask': ['m', 0, 0]")), OUT("l")), "0 2");
    unit_has_warning(&problems, "mask", "the input \"m\" is a mask: requests give it as \"mask\"");
    assert_int_equal(problems.all_warnings, 1);
    problems_close(&problems);
    static const char *const states[] = {
        INPUT("x") "," INPUT("h") "," INPUT("c") "," CALLED("LSTM", "l", FROM("x") "," FROM("h") "," FROM("c")),
        INPUT("x") "," INPUT("h") "," INPUT("c") "," CALLED("LSTM", "l",
                                                            WITH("x", "'initial_state': [['h', 0, 0], ['c', 0, 0]]")),
        INPUT("x") "," INPUT("h") "," INPUT("c") "," CALLED3(
            "Bidirectional", "l", "", TENSOR("x", "0"), "'initial_state': [" TENSOR("h", "0") "," TENSOR("c", "0") "]"),
        INPUT("x") "," INPUT("h") "," INPUT("c") "," CALLED3(
            "RNN", "l", "", "[" TENSOR("x", "0") "," TENSOR("h", "0") "," TENSOR("c", "0") "]", ""),
    };
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) {
        const char *chain = chain_of(states[i], OUT("l"));
        assert_non_null(chain);
        assert_string_equal(chain, "0 3");
        unit_has_warning(&problems, states[i], "the input \"h\" is an initial state: requests give it in");
        unit_has_warning(&problems, states[i], "the input \"c\" is an initial state");
        problems_close(&problems);
    }
}

static void other_tensors_are_refused_by_name(void **state)
{
    (void)state;
    refused(INPUT("x") "," INPUT("y") "," CALLED("Concatenate", "both",
                                                 FROM("x") "," FROM("y")) "," CALLED("LSTM", "l", FROM("both")),
            OUT("l"), "/config/layers/2: layer \"both\" takes more than one tensor, also that of y");
    refused(INPUT("x") "," CALLED("Dense", "d", FROM("x")) "," CALLED("LSTM", "l", FROM("x") "," FROM("d")), OUT("l"),
            "layer \"l\" takes more than one tensor, also that of d"); /* an initial state that a layer makes */
    refused(INPUT("x") "," CALLED3("GRU", "e", "", TENSOR("x", "0"), "") "," CALLED3(
                "GRU", "l", "", TENSOR("x", "0"), "'initial_state': " TENSOR("e", "1")),
            OUT("l"), "layer \"l\" takes more than one tensor, also that of e");
    refused(INPUT("x") "," CALLED("LSTM", "l", "['x', 0, 1, {}]"), OUT("l"),
            "layer \"l\" takes a state of the layer before it");
    refused(
        INPUT("x") "," INPUT("h") "," CALLED("RNN", "l",
                                             FROM("x") "," FROM("h") "," FROM("h") "," FROM("h") "," FROM("h") "," FROM(
                                                 "h") "," FROM("h") "," FROM("h") "," FROM("h") "," FROM("h")),
        OUT("l"), "layer \"l\" takes a state of the layer before it"); /* more than are followed */
    refused(INPUT("x") "," CALLED("LSTM", "l", WITH("x", "'training': true")), OUT("l"),
            "layer \"l\" is called with an argument that is not served: training");
    refused(INPUT("x") "," CALLED("LSTM", "l", WITH("x", "'initial_state': [['h', 0, 0], 3]")), OUT("l"),
            "layer \"l\" takes more than one tensor, also that of h");
    refused(INPUT("x") "," CALLED3("LSTM", "l", "", TENSOR("x", "0") ", [1, 2]", ""), OUT("l"),
            "is called with an argument that is not served: a value that no layer gives");
}

static void shared_layers_are_refused_by_name(void **state)
{
    (void)state;
    static const char twice[] =
        "{'class_name': 'LSTM', 'name': 'twice', 'config': {}, 'inbound_nodes': [[" FROM("x") "], [" FROM("y") "]]}";
    char layers[1024];
    snprintf(layers, sizeof layers, "%s", INPUT("x") "," INPUT("y") ",");
    strcat(layers, twice);
    refused(layers, OUT("twice"), "/config/layers/2: layer \"twice\" is used more than once");
    refused(INPUT("x") ",{'class_name': 'GRU', 'name': 'g', 'config': {}, 'inbound_nodes': [{'args': [" TENSOR(
                "x", "0") "], 'kwargs': {}}, {'args': [" TENSOR("g", "0") "], 'kwargs': {}}]}",
            OUT("g"), "layer \"g\" is used more than once");
}

static void what_is_no_chain_is_refused_by_name(void **state)
{
    (void)state;
    refused(INPUT("x") "," CALLED("LSTM", "l", FROM("x")) "," CALLED("Dense", "d", FROM("x")), OUT("l"),
            "layer \"d\" stands beside the way from the input to the output");
    refused(INPUT("x") "," CALLED("LSTM", "l", FROM("k")) "," CALLED("LSTM", "k", FROM("l")), OUT("l"),
            "is part of a circle");
    refused(INPUT("x") "," CALLED("LSTM", "l", FROM("z")), OUT("l"), "takes its input from no layer of the model");
    refused(INPUT("x") "," CALLED("LSTM", "l", ""), OUT("l"), "layer \"l\" takes its input from no layer");
    refused(INPUT("x"), OUT("z"), "output_layers names no layer of the model");
    refused(INPUT("x"), "[]", "output_layers names no layer of the model");
    refused(INPUT("x"), "[[3, 0, 0]]", "output_layers names no layer of the model");
    refused("", OUT("x"), "expected a list of 1 to 1024 layers");
    char *many = calloc(1025, 4);
    for (int i = 0; i < 1025; i++)
        strcat(many, i ? ",3" : "3");
    refused(many, OUT("x"), "expected a list of 1 to 1024 layers");
    free(many);
}

static void outputs_beside_the_first_are_states(void **state)
{
    (void)state;
    static const char layers[] = INPUT("x") "," CALLED("LSTM", "l", FROM("x")) "," CALLED("Dense", "d", FROM("l"));
    assert_string_equal(chain_of(layers, "[['d', 0, 0], ['l', 0, 1], ['l', 0, 2]]"), "0 1 2");
    assert_string_equal(chain_of(layers, "[['d', 0, 0], [['l', 0, 1], ['l', 0, 2]]]"), "0 1 2");
    assert_string_equal(chain_of(layers, "{'0': 1}") ? "taken" : "refused", "refused");
    problems_close(&problems);
    refused(layers, "[['d', 0, 0], ['l', 0, 0]]", "the model has several outputs, also \"l\"");
    refused(layers, "[['d', 0, 0], [['y', 0, 1]]]", "the model has several outputs, also \"y\"");
    assert_string_equal(chain_of(INPUT("x") "," CALLED("LSTM", "l", FROM("x")), "[['l', 0, 1]]"), "0 1");
    unit_has_warning(&problems, "a state alone", "the model gives a state of \"l\" alone");
    problems_close(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_are_found_in_any_order),      cmocka_unit_test(masks_of_keras_3_are_no_layers),
        cmocka_unit_test(masks_and_states_may_be_inputs),     cmocka_unit_test(other_tensors_are_refused_by_name),
        cmocka_unit_test(shared_layers_are_refused_by_name),  cmocka_unit_test(what_is_no_chain_is_refused_by_name),
        cmocka_unit_test(outputs_beside_the_first_are_states)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
