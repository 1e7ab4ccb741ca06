/* Options of layers, cells and calls: an option without support is refused with an error that names the layer and
   it. */
#include "config/model.h"
#include "core/layers/normalization.h"
#include "tests/unit/unit.h"

#include <unistd.h>

static struct problems problems;

static bool load(const char *text, struct model *model)
{
    struct model_entry entry = {.name = (char *)"m", .where = (char *)"/models/0", .input_size = 4};
    json_error_t error;
    entry.layer = json_loads(text, 0, &error);
    if (!entry.layer)
        fail_msg("%s: %s", text, error.text);
    bool good = model_load(&entry, "c.json", &vec_c, &problems, model);
    json_decref(entry.layer);
    return good;
}

static void refused(const char *text, const char *line)
{
    struct model model;
    assert_false(load(text, &model));
    bool found = false;
    for (size_t i = 0; i < problems.n_errors; i++)
        found |= strstr(problems.errors[i], line) != NULL;
    if (!found)
        fail_msg("%s: no \"%s\" but \"%s\"", text, line, problems.n_errors ? problems.errors[0] : "");
    problems_close(&problems);
}

static void taken(const char *text)
{
    struct model model;
    if (!load(text, &model))
        fail_msg("%s: %s", text, problems.errors[0]);
    assert_int_equal(problems.all_errors, 0);
    model_close(&model);
    problems_close(&problems);
}

/* A sequence [4, 4], for which a wrong axis would fit all shapes too; and a vector [4]. */
#define LAYER(class, config) "{\"class_name\": \"" class "\", \"config\": {\"name\": \"x\"" config "}}"
#define INPUT "{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": [null, 4, 4]}}"
#define SEQUENCE(layer) "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [" INPUT ", " layer "]}}"
#define VECTOR(layer)                                                                                                  \
    "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [" INPUT ", "                                           \
    "{\"class_name\": \"GRU\", \"config\": {\"units\": 4}}, " layer "]}}"
#define WRAPPED(layer) "{\"class_name\": \"TimeDistributed\", \"config\": {\"name\": \"t\", \"layer\": " layer "}}"

static void an_axis_is_one_of_the_input(void **state)
{
    (void)state;
    refused(VECTOR(LAYER("LayerNormalization", ", \"axis\": 2")), "its input has no axis 2; its axes are 1 to 1");
    refused(SEQUENCE(WRAPPED(LAYER("LayerNormalization", ", \"axis\": 2"))), "its input has no axis 2");
    refused(SEQUENCE(LAYER("LayerNormalization", ", \"axis\": [2, -1]")),
            "no axis -1 besides the one that axis names already");
    refused(SEQUENCE(LAYER("BatchNormalization", ", \"axis\": 0")),
            "/config/layers/1/config/axis: expected an axis from -5 to 5 except 0 (the batch), or a list of such axes, "
            "found 0 "
            "(BatchNormalization \"x\")");
    refused(SEQUENCE(LAYER("Softmax", ", \"axis\": -3")), "no axis -3");
    refused(SEQUENCE(LAYER("Dense", ", \"units\": 4, \"activation\": " LAYER("Softmax", ", \"axis\": 1"))),
            "/activation/config/axis: expected -1, the last axis, found 1 (Dense \"x\")");
    static const char *const good[] = {
        SEQUENCE(LAYER("LayerNormalization", ", \"axis\": 1")),
        SEQUENCE(LAYER("LayerNormalization", ", \"axis\": [1, 2]")),
        SEQUENCE(LAYER("BatchNormalization", ", \"axis\": [1]")),
        SEQUENCE(LAYER("Softmax", ", \"axis\": -2")),
        SEQUENCE(LAYER("LayerNormalization", ", \"axis\": 2")),
        SEQUENCE(LAYER("LayerNormalization", ", \"axis\": [-1]")),
        SEQUENCE(LAYER("BatchNormalization", ", \"axis\": [2]")),
        SEQUENCE(LAYER("Softmax", ", \"axis\": 2")),
        VECTOR(LAYER("BatchNormalization", ", \"axis\": 1")),
        VECTOR(LAYER("Softmax", ", \"axis\": 1")),
        SEQUENCE(WRAPPED(LAYER("LayerNormalization", ", \"axis\": 1"))),
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        taken(good[i]);
}

static void options_without_support_are_refused(void **state)
{
    (void)state;
    refused(
        SEQUENCE(LAYER("Flatten", ", \"data_format\": \"channels_first\"")),
        "/config/layers/1/config/data_format: expected \"channels_last\", found \"channels_first\" (Flatten \"x\")");
    refused(SEQUENCE(LAYER("GlobalMaxPooling1D", ", \"data_format\": \"channels_first\"")),
            "expected \"channels_last\"");
    refused(SEQUENCE(LAYER("LayerNormalization", ", \"rms_scaling\": true")), "/rms_scaling: expected false");
    refused(SEQUENCE(LAYER("BatchNormalization", ", \"renorm\": true")), "/renorm: expected false");
    refused(SEQUENCE(LAYER("LSTM", ", \"units\": 4, \"activaton\": \"relu\"")),
            "/config/layers/1/config/activaton: unknown key, which would have no effect here; remove it; did you "
            "mean \"activation\"? (LSTM \"x\")");
    refused(SEQUENCE(LAYER("LSTM", ", \"units\": 4, \"reset_after\": true")), "/reset_after: unknown key");
    refused(SEQUENCE(LAYER("LSTM", ", \"units\": 4, \"norm_epsilon\": 0.1")), "/norm_epsilon: unknown key");
    refused(SEQUENCE(LAYER("GRU", ", \"units\": 4, \"unit_forget_bias\": true")), "/unit_forget_bias: unknown key");
    refused(SEQUENCE(LAYER("SimpleRNN", ", \"units\": 4, \"recurrent_activation\": \"relu\"")),
            "/recurrent_activation: unknown key");
    refused(SEQUENCE(LAYER("ReLU", ", \"theta\": 0.1")), "/theta: unknown key");
    refused(SEQUENCE(LAYER("LeakyReLU", ", \"max_value\": 1")), "/max_value: unknown key");
    refused(SEQUENCE(LAYER("Dense", ", \"units\": 4, \"activation\": " LAYER("LeakyReLU", ", \"slope\": 0.1"))),
            "/activation/config/slope: unknown key");
    refused(SEQUENCE(LAYER("Dense", ", \"units\": 4, \"dtype\": {\"class_name\": \"QuantizedDTypePolicy\", \"config\": "
                                    "{\"mode\": \"int8\", \"source_name\": \"float32\"}}")),
            "/dtype: the layer is quantized (QuantizedDTypePolicy)");
    refused(SEQUENCE(LAYER("Dense", ", \"units\": 4, \"dtype\": \"int8_from_float32\"")),
            "/dtype: the layer is quantized (int8_from_float32)");
    refused(SEQUENCE(LAYER("Dense", ", \"units\": 4, \"quantization_config\": {\"mode\": \"int8\"}")),
            "/quantization_config: the layer is quantized");
    refused(SEQUENCE(WRAPPED(LAYER("Dense", ", \"units\": 4, \"use_bais\": true"))),
            "/config/layers/1/config/layer/config/use_bais: unknown key");
    refused(SEQUENCE(LAYER("Bidirectional", ", \"go_backwards\": true, \"layer\": " LAYER("LSTM", ", \"units\": 4"))),
            "/go_backwards: unknown key");
    refused(
        SEQUENCE(LAYER("Bidirectional", ", \"layer\": " LAYER("LSTM", ", \"units\": 4") ", \"backward_layer\": " LAYER(
                                            "LSTM", ", \"units\": 4, \"go_backwards\": true, \"return_state\": true"))),
        "expected layer and backward_layer with the same return_state (Bidirectional \"x\")");
    refused(SEQUENCE(LAYER("RNN", ", \"constants\": [1], \"cell\": " LAYER("LSTMCell", ", \"units\": 4"))),
            "/constants: unknown key");
    refused(SEQUENCE(LAYER("RNN", ", \"num_constants\": \"1\", \"cell\": " LAYER("LSTMCell", ", \"units\": 4"))),
            "/num_constants: expected no constants");
}

static void options_without_effect_are_accepted(void **state)
{
    (void)state;
    static const char *const good[] = {
        SEQUENCE(LAYER("LSTM", ", \"units\": 4, \"dropout\": 0.5, \"recurrent_dropout\": 0.2, \"implementation\": 1, "
                               "\"unroll\": true, \"kernel_regularizer\": {\"class_name\": \"L2\"}, \"seed\": 3, "
                               "\"use_cudnn\": \"auto\", \"a_key_to_come\": null")),
        SEQUENCE(LAYER("BatchNormalization", ", \"momentum\": 0.5, \"synchronized\": true, \"trainable\": false")),
        SEQUENCE(
            LAYER("Dropout", ", \"rate\": 0.5, \"noise_shape\": [1], \"seed\": 1") ", " LAYER("GRU", ", \"units\": 2")),
        SEQUENCE(LAYER("Dense", ", \"units\": 4, \"lora_rank\": 2, \"quantization_config\": null")),
        SEQUENCE(LAYER("ActivityRegularization", ", \"l1\": 0.1, \"l2\": 0.1") ", " LAYER("GRU", ", \"units\": 2")),
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        taken(good[i]);
}

/* The scale and shift of a BatchNormalization are computed from its four initializers. */
static void normalizations_start_from_their_initializers(void **state)
{
    (void)state;
    struct model model;
#define CONSTANT(value) "{\"class_name\": \"Constant\", \"config\": {\"value\": " value "}}"
    if (!load(SEQUENCE(LAYER(
                  "BatchNormalization",
                  ", \"epsilon\": 0, \"gamma_initializer\": " CONSTANT("6") ", \"beta_initializer\": " CONSTANT(
                      "5") ", \"moving_mean_initializer\": " CONSTANT("2") ", "
                                                                           "\"moving_variance_initializer\": " CONSTANT(
                                                                               "9"))),
              &model))
        fail_msg("%s", problems.errors[0]);
    const float *weights = ((const struct normalization *)model.graph.layers[0].own)->weights;
    for (size_t i = 0; i < 4; i++) {
        assert_true(weights[i] == 2);     /* 6 / sqrt(9) */
        assert_true(weights[4 + i] == 1); /* 5 - 2 * 2 */
    }
    model_close(&model);
    if (!load(SEQUENCE(LAYER("LayerNormalization",
                             ", \"gamma_initializer\": \"zeros\", \"beta_initializer\": " CONSTANT("3"))),
              &model))
        fail_msg("%s", problems.errors[0]);
    weights = ((const struct normalization *)model.graph.layers[0].own)->weights;
    assert_true(weights[0] == 0 && weights[4] == 3);
    model_close(&model);
}

/* Arguments of a layer's call, as Keras 2 and Keras 3 write them. */
#define CALLED2(class, config, arguments)                                                                              \
    "{\"class_name\": \"Functional\", \"config\": {\"layers\": [{\"class_name\": \"InputLayer\", \"config\": "         \
    "{\"name\": \"i\", \"batch_input_shape\": [null, 4, 4]}, \"inbound_nodes\": []}, {\"class_name\": \"" class        \
        "\", \"name\": \"x\", \"config\": {" config "}, \"inbound_nodes\": [[[\"i\", 0, 0, {" arguments                \
        "}]]]}], \"input_layers\": [[\"i\", 0, 0]], \"output_layers\": [[\"x\", 0, 0]]}}"
#define TENSOR(name) "{\"class_name\": \"__keras_tensor__\", \"config\": {\"keras_history\": [\"" name "\", 0, 0]}}"
#define CALLED3(class, config, more, arguments)                                                                        \
    "{\"class_name\": \"Functional\", \"config\": {\"layers\": [{\"class_name\": \"InputLayer\", \"config\": "         \
    "{\"name\": \"i\", \"batch_shape\": [null, 4, 4]}, \"inbound_nodes\": []}, {\"class_name\": \"" class              \
        "\", \"name\": \"x\", \"config\": {" config "}, \"inbound_nodes\": [{\"args\": [" TENSOR("i") more             \
        "], \"kwargs\": {" arguments "}}]}], \"input_layers\": [[\"i\", 0, 0]], \"output_layers\": [[\"x\", 0, 0]]}}"

static void arguments_of_calls_are_honoured_or_refused(void **state)
{
    (void)state;
    static const char training[] = "layer \"x\" is called with an argument that is not supported: training";
    refused(CALLED2("LSTM", "\"units\": 4, \"dropout\": 0.5", "\"training\": true"), training);
    refused(CALLED3("LSTM", "\"units\": 4, \"dropout\": 0.5", "", "\"training\": true"), training);
    refused(CALLED3("BatchNormalization", "\"name\": \"x\"", "", "\"training\": true"), training);
    refused(CALLED2("LSTM", "\"units\": 4", "\"initial_state\": [[\"_CONSTANT_VALUE\", -1, [[1, 1]], {}]]"),
            "not supported: initial_state");
    refused(CALLED3("LSTM", "\"units\": 4", "", "\"mask\": [true, false, true, true]"), "not supported: mask");
    refused(CALLED3("LSTM", "\"units\": 4", ", null, 3", ""),
            "not supported: a value that is not an output of a layer");
    taken(CALLED2("LSTM", "\"units\": 4", "\"training\": false, \"mask\": null, \"initial_state\": null"));
    taken(CALLED3("LSTM", "\"units\": 4", ", null", "\"training\": null, \"mask\": null"));
}

/* Old versions of Keras store a Lambda's code as a text that contains NUL. */
static void a_lambda_with_nul_is_refused_as_a_lambda(void **state)
{
    (void)state;
    char path[] = "/tmp/cellserve-lambda-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = SEQUENCE(LAYER("Lambda", ", \"function\": [\"\\u00e3\\u0001\\u0000\", null, null]"));
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    close(fd);
    struct model model;
    struct model_entry entry = {.name = (char *)"m", .path = path, .where = (char *)""};
    assert_false(model_load(&entry, NULL, &vec_c, &problems, &model));
    unlink(path);
    assert_int_equal(problems.n_errors, 1);
    assert_non_null(strstr(problems.errors[0], "/config/layers/1/config: a Lambda layer contains Python code"));
    assert_non_null(strstr(problems.errors[0], "(Lambda \"x\")"));
    problems_close(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_axis_is_one_of_the_input),
        cmocka_unit_test(options_without_support_are_refused),
        cmocka_unit_test(options_without_effect_are_accepted),
        cmocka_unit_test(normalizations_start_from_their_initializers),
        cmocka_unit_test(arguments_of_calls_are_honoured_or_refused),
        cmocka_unit_test(a_lambda_with_nul_is_refused_as_a_lambda),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
