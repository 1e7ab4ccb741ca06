/* Whole models over HTTP: the trained demo models against Keras's numbers, and requests to chains of layers. */
#include "e2e.h"

#include <math.h>
#include <signal.h>

static struct daemon server;

#define LSTM(units, sequences)                                                                                         \
    "{\"class_name\": \"LSTM\", \"config\": {\"name\": \"lstm_" #units "\", \"units\": " #units                        \
    ", \"return_sequences\": " #sequences "}}"
#define DENSE(units) "{\"class_name\": \"Dense\", \"config\": {\"units\": " #units "}}"
#define MODEL(name, layers)                                                                                            \
    "{\"name\": \"" name                                                                                               \
    "\", \"seed\": 1, \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": [" layers "]}}}"
#define INPUT(shape) "{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": " shape "}}, "

static const char config[] =
    "{\"models\": ["
    "{\"name\": \"digits\", \"path\": \"" SOURCE_DIR "/demo/digits/digits.keras\"},"
    "{\"name\": \"digits-bf16\", \"precision\": \"bf16\", \"path\": \"" SOURCE_DIR "/demo/digits/digits.keras\"},"
    "{\"name\": \"digits-int8\", \"precision\": \"int8\", \"path\": \"" SOURCE_DIR "/demo/digits/digits.keras\"},"
    "{\"name\": \"sunspots-bf16\", \"precision\": \"bf16\", \"path\": \"" SOURCE_DIR "/demo/sunspots/sunspots.keras\"},"
    "{\"name\": \"sunspots-int8\", \"precision\": \"int8\", \"path\": \"" SOURCE_DIR "/demo/sunspots/sunspots.keras\"},"
    "{\"name\": \"sunspots\", \"path\": \"" SOURCE_DIR "/demo/sunspots/sunspots.keras\"}," MODEL(
        "two",
        INPUT("[null, null, 2]") LSTM(3, true) ", " LSTM(4, false) ", " DENSE(
            2)) "," MODEL("flat",
                          INPUT("[null, 3, 2]") LSTM(3, true) ", {\"class_name\": \"Flatten\", \"config\": {}}, " DENSE(
                              2)) "," MODEL("words",
                                            "{\"class_name\": \"Embedding\", \"config\": {\"input_dim\": 5, "
                                            "\"output_dim\": 3, \"mask_zero\": "
                                            "true}}, {\"class_name\": \"Bidirectional\", \"config\": {\"name\": "
                                            "\"both\", \"layer\": " LSTM(
                                                2, false) "}}") "," MODEL("vector",
                                                                          INPUT("[null, 4]") "{\"class_name\": "
                                                                                             "\"RepeatVector\", "
                                                                                             "\"config\": {\"n\": "
                                                                                             "3}}, " LSTM(2,
                                                                                                          true)) "]}";

static json_t *load(const char *path)
{
    char *text = read_source_file(path);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    free(text);
    return json;
}

/* The outputs for the instances of a test set. */
static json_t *predict_all(const char *model, const json_t *set)
{
    json_t *body = json_pack("{s:s, s:O}", "model", model, "instances", json_object_get(set, "instances"));
    char *text = json_dumps(body, JSON_COMPACT);
    struct reply reply = http_post(&server, "/predict", text);
    assert_int_equal(reply.status, 200);
    json_t *outputs = json_incref(json_object_get(reply.json, "outputs"));
    free(text);
    json_decref(body);
    reply_free(&reply);
    return outputs;
}

static double number(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(list, i));
}

static void digits_are_recognised_as_keras_does(void **state)
{
    (void)state;
    json_t *set = load("demo/digits/test.json"), *outputs = predict_all("digits", set);
    size_t right = 0;
    assert_int_equal(json_array_size(outputs), 397);
    for (size_t i = 0; i < 397; i++) {
        const json_t *p = json_array_get(outputs, i);
        size_t best = 0;
        for (size_t c = 1; c < 10; c++)
            best = number(p, c) > number(p, best) ? c : best;
        assert_int_equal(best, (size_t)number(json_object_get(set, "keras_classes"), i));
        assert_true(fabs(number(p, best) - number(json_object_get(set, "keras_probability_of_its_class"), i)) < 1e-5);
        right += best == (size_t)number(json_object_get(set, "labels"), i);
    }
    assert_true(fabs((double)right / 397 - json_number_value(json_object_get(set, "keras_accuracy"))) < 1e-9);
    json_decref(outputs);
    json_decref(set);
}

/* The root mean square error of a sunspots model, in sunspots. */
static double sunspots_error(const char *model, const json_t *set)
{
    json_t *outputs = predict_all(model, set);
    double squares = 0, mean = json_number_value(json_object_get(set, "mean"));
    double deviation = json_number_value(json_object_get(set, "std"));
    size_t n = json_array_size(outputs);
    assert_int_equal(n, 62);
    for (size_t i = 0; i < n; i++) {
        double error = number(json_array_get(outputs, i), 0) * deviation + mean -
                       number(json_object_get(set, "truth_sunspots"), i);
        squares += error * error;
    }
    json_decref(outputs);
    return sqrt(squares / (double)n);
}

static void sunspots_have_keras_error(void **state)
{
    (void)state;
    json_t *set = load("demo/sunspots/test.json");
    char got[32], want[32];
    snprintf(got, sizeof got, "%.4g", sunspots_error("sunspots", set));
    snprintf(want, sizeof want, "%.4g", json_number_value(json_object_get(set, "keras_rmse")));
    assert_string_equal(got, want);
    json_decref(set);
}

/* Rounded weights: the accuracy of digits within 0.3 points (one image of 397), the error of sunspots within 1 %. */
static void smaller_weights_keep_the_accuracy(void **state)
{
    (void)state;
    json_t *digits = load("demo/digits/test.json"), *sunspots = load("demo/sunspots/test.json");
    const char *const names[] = {"bf16", "int8"};
    for (size_t k = 0; k < 2; k++) {
        char model[32];
        snprintf(model, sizeof model, "digits-%s", names[k]);
        json_t *outputs = predict_all(model, digits);
        size_t right = 0;
        for (size_t i = 0; i < 397; i++) {
            const json_t *p = json_array_get(outputs, i);
            size_t best = 0;
            for (size_t c = 1; c < 10; c++)
                best = number(p, c) > number(p, best) ? c : best;
            right += best == (size_t)number(json_object_get(digits, "labels"), i);
        }
        json_decref(outputs);
        double keras = json_number_value(json_object_get(digits, "keras_accuracy")), accuracy = (double)right / 397;
        snprintf(model, sizeof model, "sunspots-%s", names[k]);
        double rmse = sunspots_error(model, sunspots),
               want = json_number_value(json_object_get(sunspots, "keras_rmse"));
        print_message("%s: accuracy %.4f (float32 %.4f), rmse %.3f (%.3f)\n", names[k], accuracy, keras, rmse, want);
        assert_true(fabs(accuracy - keras) <= 0.003);
        assert_true(fabs(rmse / want - 1) <= 0.01);
    }
    json_decref(digits);
    json_decref(sunspots);
}

/* POST a body, expect 200, and return a member of the answer as text. */
static char *member(const char *path, const char *body, const char *key)
{
    struct reply reply = http_post(&server, path, body);
    if (reply.status != 200)
        fail_msg("%s: %ld %s", body, reply.status, reply.body);
    char *text = json_dumps(json_object_get(reply.json, key), JSON_COMPACT);
    reply_free(&reply);
    return text;
}

static void states_name_their_layers_and_can_be_sent_back(void **state)
{
    (void)state;
    char body[2048];
    char *layers = member("/predict", "{\"model\": \"two\", \"instances\": [[[1, 2]]]}", "state_layers");
    assert_string_equal(layers, "[\"lstm_3\",\"lstm_4\"]");
    free(layers);
    layers = member("/predict", "{\"model\": \"words\", \"instances\": [[1, 2]]}", "state_layers");
    assert_string_equal(layers, "[\"both/forward\",\"both/backward\"]");
    free(layers);
    char *whole = member("/predict", "{\"model\": \"two\", \"instances\": [[[1, 2], [3, 4], [-1, 0]]]}", "outputs");
    char *states = member("/predict", "{\"model\": \"two\", \"instances\": [[[1, 2], [3, 4]]]}", "states");
    snprintf(body, sizeof body, "{\"model\": \"two\", \"instances\": [[[-1, 0]]], \"initial_state\": %s}", states);
    char *rest = member("/predict", body, "outputs");
    assert_string_equal(rest, whole);
    snprintf(body, sizeof body, "{\"inputs\": [[-1, 0]], \"states\": %s}", states);
    free(rest);
    rest = member("/v1/models/two:step", body, "outputs"); /* the chain one timestep at a time */
    assert_string_equal(rest, whole);
    free(rest);
    free(states);
    free(whole);
    assert_predict_error(&server,
                         "{\"model\": \"two\", \"instances\": [[[1, 2]]], \"initial_state\": [[[[0,0,0]], "
                         "[[0,0,0]]]]}",
                         400, "wrong_shape", "/initial_state");
}

static void return_sequences_acts_on_the_last_recurrent_layer(void **state)
{
    (void)state;
    char *last = member("/predict", "{\"model\": \"two\", \"instances\": [[[1, 2], [3, 4]]]}", "outputs");
    char *all = member(
        "/predict", "{\"model\": \"two\", \"return_sequences\": true, \"instances\": [[[1, 2], [3, 4]]]}", "outputs");
    assert_non_null(strstr(all, "],["));
    last[strlen(last) - 1] = 0; /* the last vector of the sequence ends with ']' */
    assert_non_null(strstr(all, strrchr(last, '[')));
    free(last);
    free(all);
    assert_predict_error(&server,
                         "{\"model\": \"flat\", \"return_sequences\": false, \"instances\": [[[1, 2], [3, 4], [5, "
                         "6]]]}",
                         400, "wrong_shape", "/return_sequences");
}

static void requests_must_fit_the_layers(void **state)
{
    (void)state;
    assert_predict_error(&server, "{\"model\": \"flat\", \"instances\": [[[1, 2], [3, 4]]]}", 400, "wrong_shape",
                         "/instances/0");
    assert_predict_error(&server, "{\"model\": \"words\", \"instances\": [[1, 5]]}", 400, "id_out_of_range",
                         "/instances/0/1");
    assert_predict_error(&server, "{\"model\": \"words\", \"instances\": [[1], [-1]]}", 400, "id_out_of_range",
                         "/instances/1/0");
    assert_predict_error(&server, "{\"model\": \"words\", \"instances\": [[[1]]]}", 400, "wrong_shape", "/instances/0");
    assert_predict_error(&server, "{\"model\": \"words\", \"instances\": [[]]}", 400, "empty_input", "/instances/0");
    assert_predict_error(&server, "{\"model\": \"vector\", \"instances\": [[1, 2, 3]]}", 400, "wrong_shape",
                         "/instances/0");
    assert_predict_error(&server, "{\"model\": \"vector\", \"instances\": [[1, 2, 3, 4]], \"mask\": [[true]]}", 400,
                         "wrong_shape", "/mask");
    struct reply reply = http_post(&server, "/v1/models/words:step", "{\"inputs\": [[1]], \"states\": []}");
    assert_error(&reply, 400, "not_streamable", NULL);
    reply_free(&reply);
    char *outputs =
        member("/predict", "{\"model\": \"vector\", \"instances\": [[1, 2, 3, 4], [0, 0, 0, 0]]}", "outputs");
    json_t *json = json_loads(outputs, 0, NULL);
    assert_int_equal(json_array_size(json_array_get(json, 0)), 3);
    json_decref(json);
    free(outputs);
    /* ids are truncated as in Keras (1.9 is 1), a mask is combined with that of mask_zero, rows have different
       lengths */
    char *a = member("/predict", "{\"model\": \"words\", \"instances\": [[1, 2, 0], [3]]}", "outputs");
    char *b = member(
        "/predict", "{\"model\": \"words\", \"instances\": [[1.9, 2, 4], [3]], \"mask\": [[1, 1, 0], [1]]}", "outputs");
    assert_string_equal(a, b);
    free(a);
    free(b);
}

static int start(void **state)
{
    (void)state;
    daemon_start(&server, config, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return daemon_stop(&server, SIGINT);
}

/* Models whose input layer declares six timesteps. Each version of Keras handles other lengths in its own way. */
#define FUNCTIONAL(input)                                                                                              \
    "{\"class_name\": \"Functional\", \"config\": {\"layers\": [{\"class_name\": \"InputLayer\", \"config\": "         \
    "{\"name\": "                                                                                                      \
    "\"i\", " input                                                                                                    \
    "}, \"inbound_nodes\": []}, {\"class_name\": \"LSTM\", \"name\": \"l\", \"config\": {\"units\": 2}, "              \
    "\"inbound_nodes\": [[[\"i\", 0, 0, {}]]]}], \"input_layers\": [[\"i\", 0, 0]], \"output_layers\": [[\"l\", 0, "   \
    "0]]}}"
#define SEQUENTIAL(input, more)                                                                                        \
    "{\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": \"InputLayer\", \"config\": {" input  \
    "}}, {\"class_name\": \"LSTM\", \"config\": {\"units\": 2, \"return_sequences\": true}}" more "]}}"
#define KERAS2 "\"batch_input_shape\": [null, 6, 1]"
#define KERAS3 "\"batch_shape\": [null, 6, 1]"

static void declared_lengths_are_kept_as_keras_does(void **state)
{
    (void)state;
    static const char config_of_six[] = "{\"models\": [{\"name\": \"s2\", \"layer\": " SEQUENTIAL(
        KERAS2, "") "}, {\"name\": \"f2\", "
                    "\"layer\": " FUNCTIONAL(KERAS2) "}, {\"name\": \"s3\", \"layer\": " SEQUENTIAL(
                        KERAS3,
                        "") "}, {\"name\": \"f3\", \"layer\": " FUNCTIONAL(KERAS3) "}, "
                                                                                   "{\"name\": \"d3\", "
                                                                                   "\"layer\":"
                                                                                   " " SEQUENTIAL(KERAS3,
                                                                                                  ", "
                                                                                                  "{\"class_"
                                                                                                  "name\": "
                                                                                                  "\"Flatten\", "
                                                                                                  "\"config\": "
                                                                                                  "{}}, "
                                                                                                  "{\"class_"
                                                                                                  "name\": "
                                                                                                  "\"Dense\", "
                                                                                                  "\"config\": "
                                                                                                  "{\"units\": "
                                                                                                  "1}}") "}, "
                                                                                                         "{\"name"
                                                                                                         "\": "
                                                                                                         "\"open\""
                                                                                                         ", "
                                                                                                         "\"layer"
                                                                                                         "\":"
                                                                                                         " " SEQUENTIAL(
                                                                                                             "\"ba"
                                                                                                             "tch_"
                                                                                                             "shap"
                                                                                                             "e\":"
                                                                                                             " ["
                                                                                                             "null"
                                                                                                             ", "
                                                                                                             "null"
                                                                                                             ", "
                                                                                                             "1]",
                                                                                                             "") "}]}";
    static const struct {
        const char *name;
        int declared;
        bool fixed;
    } rows[] = {{"s2", 6, true}, {"f2", 6, true}, {"s3", 6, false},
                {"f3", 6, true}, {"d3", 6, true}, {"open", 0, false}};
    struct daemon own;
    daemon_start(&own, config_of_six, NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[256], target[64];
        bool divisible = strcmp(rows[i].name, "d3") != 0;
        snprintf(body, sizeof body, "{\"model\": \"%s\", \"instances\": [[[1],[2],[3],[4],[5],[6]], [[1],[2]]]}",
                 rows[i].name);
        struct reply reply = http_post(&own, "/predict", body);
        if (rows[i].fixed)
            assert_error(&reply, 400, "wrong_shape", "/instances/1");
        else
            assert_int_equal(reply.status, 200);
        reply_free(&reply);
        snprintf(body, sizeof body, "{\"model\": \"%s\", \"instances\": [[[1],[2],[3],[4],[5],[6]]]}", rows[i].name);
        reply = http_post(&own, "/predict", body);
        assert_int_equal(reply.status, 200);
        reply_free(&reply);
        /* a part of a sequence */
        snprintf(body, sizeof body, "{\"model\": \"%s\", \"session\": \"%s\", \"instances\": [[[1]]]}", rows[i].name,
                 rows[i].name);
        reply = http_post(&own, "/predict", body);
        assert_int_equal(reply.status, divisible ? 200 : 400);
        reply_free(&reply);
        snprintf(target, sizeof target, "/v1/models/%s/metadata", rows[i].name);
        reply = http_get(&own, target);
        const json_t *timesteps = json_object_get(reply.json, "timesteps");
        assert_int_equal(json_integer_value(json_object_get(timesteps, "declared")), rows[i].declared);
        assert_true(json_is_boolean(json_object_get(timesteps, "fixed")));
        assert_int_equal(json_is_true(json_object_get(timesteps, "fixed")), rows[i].fixed);
        assert_non_null(strstr(reply.body, rows[i].fixed ? "\"size\": \"6\"" : "\"size\": \"-1\""));
        reply_free(&reply);
        snprintf(target, sizeof target, "/v2/models/%s", rows[i].name);
        reply = http_get(&own, target);
        const json_t *shape = json_object_get(json_array_get(json_object_get(reply.json, "inputs"), 0), "shape");
        assert_int_equal(json_integer_value(json_array_get(shape, 1)), rows[i].fixed ? 6 : -1);
        reply_free(&reply);
    }
    assert_int_equal(daemon_stop(&own, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(digits_are_recognised_as_keras_does),
        cmocka_unit_test(smaller_weights_keep_the_accuracy),
        cmocka_unit_test(sunspots_have_keras_error),
        cmocka_unit_test(states_name_their_layers_and_can_be_sent_back),
        cmocka_unit_test(return_sequences_acts_on_the_last_recurrent_layer),
        cmocka_unit_test(requests_must_fit_the_layers),
        cmocka_unit_test(declared_lengths_are_kept_as_keras_does),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
