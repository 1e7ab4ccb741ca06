/* Models with transforms, on every protocol: requests have unscaled values, answers have scaled-back values, labels and
   texts. */
#include "e2e.h"

#include <math.h>
#include <signal.h>

static const char models[] =
    "{\"models\": ["
    "{\"name\": \"weather\", \"input_size\": 2, \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}, "
    "\"transform\": {\"features\": [\"temperature\", \"humidity\"], \"missing\": \"last\", "
    "\"input_scaler\": {\"class_name\": \"MinMaxScaler\", \"data_min\": [-20, 0], \"data_max\": [45, 100], "
    "\"feature_range\": [0, 1]}, \"output_scaler\": {\"class_name\": \"StandardScaler\", \"mean\": [10, 20], "
    "\"scale\": [2, 3]}}},"
    "{\"name\": \"plain\", \"input_size\": 2, \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}},"
    "{\"name\": \"activity\", \"input_size\": 2, \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": "
    "[{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": [null, null, 2]}}, {\"class_name\": "
    "\"GRU\", \"config\": {\"units\": 3, \"return_sequences\": true}}, {\"class_name\": \"Dense\", \"config\": "
    "{\"units\": 2, \"activation\": \"softmax\"}}]}}, \"transform\": {\"labels\": [\"walking\", \"a \\\"run\\\"\"]}},"
    "{\"name\": \"text\", \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": "
    "\"Embedding\", \"config\": {\"input_dim\": 6, \"output_dim\": 3, \"batch_input_shape\": [null, 4]}}, "
    "{\"class_name\": \"LSTM\", \"config\": {\"units\": 3}}, {\"class_name\": \"Dense\", \"config\": {\"units\": 1, "
    "\"activation\": \"sigmoid\"}}]}}, \"transform\": {\"labels\": [\"bad\", \"good\"], \"pad\": {\"length\": 4}, "
    "\"tokenizer\": {\"vocabulary\": {\"the\": 1, \"film\": 2, \"was\": 3, \"fine\": 4}}}}"
    ",{\"name\": \"forecast\", \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": "
    "[{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": [null, null, 2]}}, {\"class_name\": "
    "\"LSTM\", \"config\": {\"units\": 4}}, {\"class_name\": \"Dense\", \"config\": {\"units\": 1}}]}}, "
    "\"transform\": {\"features\": [\"temperature\", \"humidity\"], \"input_scaler\": {\"class_name\": "
    "\"MinMaxScaler\", \"data_min\": [-20, 0], \"data_max\": [45, 100]}, \"output_scaler\": {\"class_name\": "
    "\"StandardScaler\", \"mean\": [10], \"scale\": [7]}, \"feedback\": {\"0\": \"temperature\"}}},"
    "{\"name\": \"writer\", \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": "
    "[{\"class_name\": \"Embedding\", \"config\": {\"input_dim\": 4, \"output_dim\": 3, \"batch_input_shape\": "
    "[null, null]}}, {\"class_name\": \"GRU\", \"config\": {\"units\": 3}}, {\"class_name\": \"Dense\", "
    "\"config\": {\"units\": 4, \"activation\": \"softmax\"}}]}}, \"transform\": {\"tokenizer\": "
    "{\"vocabulary\": [\"an\", \"old\", \"\\u201eword\", \"two\"]}}}"
    ",{\"name\": \"two\", \"layer\": {\"class_name\": \"Functional\", \"config\": {\"name\": \"f\", \"lay"
    "ers\": [{\"class_name\": \"InputLayer\", \"name\": \"history\", \"config\": {\"batch_input_shape\": "
    "[null, null, 2], \"name\": \"history\"}, \"inbound_nodes\": []}, {\"class_name\": \"InputLayer\", \""
    "name\": \"static\", \"config\": {\"batch_input_shape\": [null, 1], \"name\": \"static\"}, \"inbound_"
    "nodes\": []}, {\"class_name\": \"LSTM\", \"name\": \"lstm\", \"config\": {\"units\": 3, \"name\": \""
    "lstm\"}, \"inbound_nodes\": [[[\"history\", 0, 0, {}]]]}, {\"class_name\": \"Concatenate\", \"name\""
    ": \"cat\", \"config\": {\"axis\": -1, \"name\": \"cat\"}, \"inbound_nodes\": [[[\"lstm\", 0, 0, {}],"
    " [\"static\", 0, 0, {}]]]}, {\"class_name\": \"Dense\", \"name\": \"a\", \"config\": {\"units\": 1, "
    "\"name\": \"a\"}, \"inbound_nodes\": [[[\"cat\", 0, 0, {}]]]}, {\"class_name\": \"Dense\", \"name\":"
    " \"b\", \"config\": {\"units\": 2, \"name\": \"b\"}, \"inbound_nodes\": [[[\"cat\", 0, 0, {}]]]}], "
    "\"input_layers\": [[\"history\", 0, 0], [\"static\", 0, 0]], \"output_layers\": [[\"a\", 0, 0], [\"b"
    "\", 0, 0]]}}, \"transform\": {\"input_scaler\": {\"history\": {\"max_abs\": [4, 2]}, \"static\": {\""
    "class_name\": \"StandardScaler\", \"mean\": [1], \"scale\": [2]}}, \"output_scaler\": {\"b\": {\"cla"
    "ss_name\": \"StandardScaler\", \"mean\": [5, 6], \"scale\": [7, 8]}}, \"features\": {\"history\": ["
    "\"p\", \"q\"]}, \"missing\": \"last\"}}"
    "]}";

static json_t *outputs(const struct daemon *server, const char *path, const char *body)
{
    struct reply reply = http_post(server, path, body);
    if (reply.status != 200)
        fail_msg("%s: %ld %.300s", body, reply.status, reply.body ? reply.body : "");
    json_t *found = json_incref(json_object_get(reply.json, strstr(path, ":predict") ? "predictions" : "outputs"));
    reply_free(&reply);
    return found;
}

static void same_outputs(const struct daemon *server, const char *body, const char *other)
{
    json_t *a = outputs(server, "/predict", body), *b = outputs(server, "/predict", other);
    assert_same(a, b);
    json_decref(a);
    json_decref(b);
}

static double at(const json_t *list, size_t i)
{
    return json_number_value(json_array_get(json_array_get(list, 0), i));
}

/* Same result as scaling in the client, in double, before and after. */
static void raw_values_are_scaled(void **state)
{
    const struct daemon *server = *state;
    char scaled[400];
    snprintf(scaled, sizeof scaled, "{\"model\": \"plain\", \"instances\": [[[%.17g, %.17g], [%.17g, %.17g]]]}",
             21.5 * (1 / 65.) + (0 - -20 * (1 / 65.)), 40 * (1 / 100.), 22 * (1 / 65.) + (0 - -20 * (1 / 65.)),
             41 * (1 / 100.));
    json_t *plain = outputs(server, "/predict", scaled);
    json_t *raw = outputs(server, "/predict", "{\"instances\": [[[21.5, 40], [22, 41]]]}");
    for (size_t i = 0; i < 2; i++) {
        double want = (double)(float)((double)(float)at(plain, i) * (i ? 3 : 2) + (i ? 20 : 10));
        assert_true((float)at(raw, i) == (float)want);
    }
    json_t *serving = outputs(server, "/v1/models/weather:predict", "{\"instances\": [[[21.5, 40], [22, 41]]]}");
    assert_same(raw, serving);
    json_decref(plain);
    json_decref(raw);
    json_decref(serving);
}

static void raw_true_skips_the_transform(void **state)
{
    const struct daemon *server = *state;
    same_outputs(server, "{\"model\": \"weather\", \"raw\": true, \"instances\": [[[0.1, 0.2]]]}",
                 "{\"model\": \"plain\", \"instances\": [[[0.1, 0.2]]]}");
    same_outputs(server, "{\"instances\": [[[0.1, 0.2]]], \"raw\": true, \"model\": \"weather\"}",
                 "{\"instances\": [[[0.1, 0.2]]], \"model\": \"plain\"}");
    /* "model" is found at any place in the body, also after another text */
    same_outputs(server, "{\"session\": \"model\", \"instances\": [[[0.1, 0.2]]], \"m\\u006fdel\": \"plain\"}",
                 "{\"instances\": [[[0.1, 0.2]]], \"model\": \"plain\"}");
}

static void timesteps_are_objects_of_features(void **state)
{
    const struct daemon *server = *state;
    same_outputs(server,
                 "{\"instances\": [[{\"humidity\": 40, \"temperature\": 21.5}, {\"temperature\": 22, \"humidity\": "
                 "41}], [[1, 2]]]}",
                 "{\"instances\": [[[21.5, 40], [22, 41]], [{\"humidity\": 2, \"temperature\": 1}]]}");
    assert_predict_error(server, "{\"instances\": [[{\"humidity\": 1}]]}", 400, "missing_feature", "/instances/0/0");
    assert_predict_error(server, "{\"instances\": [[[1, 2], {\"humidity\": 1, \"temperatur\": 2}]]}", 400,
                         "unknown_feature", "/instances/0/1");
    assert_predict_error(server, "{\"instances\": [[{\"humidity\": 1, \"humidity\": 2}]]}", 400, "duplicate_key",
                         "/instances/0/0");
    assert_predict_error(server, "{\"instances\": [[{\"humidity\": \"1\", \"temperature\": 2}]]}", 400, "wrong_type",
                         "/instances/0/0");
    assert_predict_error(server, "{\"instances\": [[{\"humidity\": 1, \"temperature\": 2]]}", 400, "invalid_json",
                         NULL);
    assert_predict_error(server, "{\"model\": \"plain\", \"instances\": [[{\"humidity\": 1, \"temperature\": 2}]]}",
                         400, "wrong_type", "/instances/0/0");
}

static void missing_values_take_the_one_before(void **state)
{
    const struct daemon *server = *state;
    same_outputs(server, "{\"instances\": [[[21.5, 40], [null, 41], [20, null]], [[1, 2], [null, null]]]}",
                 "{\"instances\": [[[21.5, 40], [21.5, 41], [20, 41]], [[1, 2], [1, 2]]]}");
    assert_predict_error(server, "{\"instances\": [[[1, 2]], [[3, null]]]}", 400, "missing_value", "/instances/1/0/1");
    assert_predict_error(server, "{\"model\": \"activity\", \"instances\": [[[1, null]]]}", 400, "missing_value",
                         "/instances/0/0/1");
}

/* The last value may come from an earlier request of the session: with two rows, and in :step. A repeated step gets the
   same answer. */
static void missing_values_take_those_of_the_session(void **state)
{
    const struct daemon *server = *state;
    static const char *const parts[] = {
        "{\"session\": \"last\", \"step\": 0, \"instances\": [[[21.5, 40], [null, 41]], [[1, 2]]]}",
        "{\"session\": \"last\", \"step\": 1, \"instances\": [[[null, null], [20, null]], [[null, 7], [3, null]]]}",
        "{\"session\": \"last\", \"step\": 2, \"instances\": [[[null, 43]], [{\"humidity\": 1, \"temperature\": "
        "null}]]}"};
    static const char *const wholes[] = {
        "{\"instances\": [[[21.5, 40], [21.5, 41]], [[1, 2]]]}",
        "{\"instances\": [[[21.5, 40], [21.5, 41], [21.5, 41], [20, 41]], [[1, 2], [1, 7], [3, 7]]]}",
        "{\"instances\": [[[21.5, 40], [21.5, 41], [21.5, 41], [20, 41], [20, 43]], [[1, 2], [1, 7], [3, 7], [3, "
        "1]]]}"};
    for (int i = 0; i < 3; i++) {
        same_outputs(server, parts[i], wholes[i]);
        same_outputs(server, parts[i], wholes[i]);
    }
    same_outputs(server, "{\"instances\": [[[20, 43]]], \"session\": \"other\"}", "{\"instances\": [[[20, 43]]]}");
    json_decref(
        ok(http_post(server, "/v1/models/weather:step", "{\"inputs\": [[null, null]], \"session\": \"other\"}")));
    same_outputs(server, "{\"instances\": [[[null, null]]], \"session\": \"other\"}",
                 "{\"instances\": [[[20, 43], [20, 43], [20, 43]]]}");
    assert_predict_error(server, "{\"session\": \"other\", \"reset\": true, \"instances\": [[[null, 1]]]}", 400,
                         "missing_value", "/instances/0/0/0");
    assert_predict_error(server, "{\"session\": \"new\", \"instances\": [[[1, 1], [null, 2]], [[1, null], [1, 2]]]}",
                         400, "missing_value", "/instances/1/0/1");
    struct reply shown = http_get(server, "/sessions/other"); /* after PUT of states, there is no earlier value */
    struct reply put = http_request(server, "PUT", "/sessions/third", shown.body, NULL);
    assert_int_equal(put.status, 200);
    reply_free(&put);
    reply_free(&shown);
    assert_predict_error(server, "{\"session\": \"third\", \"instances\": [[[null, 1]]]}", 400, "missing_value",
                         "/instances/0/0/0");
    json_decref(ok(http_post(server, "/predict", "{\"session\": \"third\", \"instances\": [[[1, 1]]]}")));
}

static void numbers_must_fit_float32_when_they_are_scaled(void **state)
{
    const struct daemon *server = *state;
    assert_predict_error(server, "{\"instances\": [[[1, 2]], [[1, 2], [1e60, 2]]]}", 400, "number_out_of_range",
                         "/instances/1/1/0");
    assert_predict_error(server, "{\"instances\": [[[1e999, 2]]]}", 400, "number_out_of_range", "/instances/0/0/0");
    json_decref(outputs(server, "/predict", "{\"instances\": [[[1e39, 2]]]}")); /* the scaled value does not fit
                                                                                   float32 */
}

static void classes_have_labels(void **state)
{
    const struct daemon *server = *state;
    json_t *answer = ok(http_post(server, "/predict", "{\"model\": \"activity\", \"instances\": [[[1, 2], [3, -4]]]}"));
    json_t *labels = json_array_get(json_object_get(answer, "predictions"), 0);
    assert_int_equal(json_array_size(labels), 2);
    for (size_t t = 0; t < 2; t++) {
        json_t *row = json_array_get(json_array_get(json_object_get(answer, "outputs"), 0), t);
        double first = json_number_value(json_array_get(row, 0)), second = json_number_value(json_array_get(row, 1));
        const json_t *label = json_array_get(labels, t);
        assert_string_equal(json_string_value(json_object_get(label, "label")),
                            second > first ? "a \"run\"" : "walking");
        assert_int_equal(json_integer_value(json_object_get(label, "index")), second > first);
        assert_true(json_number_value(json_object_get(label, "probability")) == fmax(first, second));
    }
    json_decref(answer);
}

/* In streams, each event has the labels of its outputs. */
static void classes_of_streams_have_labels(void **state)
{
    const struct daemon *server = *state;
    static const char body[] = "{\"model\": \"activity\", \"instances\": [[[1, 2], [3, -4], [-2, 5]]]}";
    const char *const headers[] = {"Accept: application/x-ndjson", NULL};
    json_t *whole = ok(http_post(server, "/predict", body));
    json_t *want = json_array_get(json_object_get(whole, "predictions"), 0), *got = json_array();
    struct reply reply = http_request(server, "POST", "/predict", body, headers);
    assert_int_equal(reply.status, 200);
    for (char *line = strtok(reply.body, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *event = json_loads(line, 0, NULL);
        assert_int_equal(json_array_size(json_object_get(event, "outputs")),
                         json_array_size(json_object_get(event, "predictions")));
        json_array_extend(got, json_object_get(event, "predictions"));
        json_decref(event);
    }
    assert_int_equal(json_array_size(got), 3);
    assert_same(want, got);
    json_decref(got);
    json_decref(whole);
    reply_free(&reply);
    reply = http_request(server, "POST", "/predict",
                         "{\"model\": \"activity\", \"raw\": true, \"instances\": [[[1, 2]]]}", headers);
    assert_int_equal(reply.status, 200);
    assert_null(strstr(reply.body, "predictions"));
    reply_free(&reply);
}

static void texts_become_ids(void **state)
{
    const struct daemon *server = *state;
    same_outputs(server, "{\"model\": \"text\", \"instances\": [\"The film, was FINE!\", \"nothing known: film\"]}",
                 "{\"model\": \"text\", \"raw\": true, \"instances\": [[1, 2, 3, 4], [0, 0, 0, 2]]}");
    /* lists of ids are padded too; of texts that are too long the end is kept */
    same_outputs(server, "{\"model\": \"text\", \"instances\": [[4], \"the the film was fine\"]}",
                 "{\"model\": \"text\", \"raw\": true, \"instances\": [[0, 0, 0, 4], [1, 2, 3, 4]]}");
    json_t *answer = ok(http_post(server, "/predict", "{\"model\": \"text\", \"instances\": [\"film\"]}"));
    double p = json_number_value(json_array_get(json_array_get(json_object_get(answer, "outputs"), 0), 0));
    const json_t *label = json_array_get(json_object_get(answer, "predictions"), 0);
    assert_string_equal(json_string_value(json_object_get(label, "label")), p >= 0.5 ? "good" : "bad");
    assert_true(fabs(json_number_value(json_object_get(label, "probability")) - fmax(p, 1 - p)) < 1e-6);
    json_decref(answer);
    assert_predict_error(server, "{\"model\": \"text\", \"instances\": [[\"film\"]]}", 400, "wrong_type",
                         "/instances/0/0");
}

static double first_of(const struct daemon *server, const char *body)
{
    json_t *list = outputs(server, "/predict", body);
    double value = at(list, 0);
    json_decref(list);
    return value;
}

/* Same result as a client that sends each forecast back, together with the known humidity. */
static void rollouts_go_through_the_scalers(void **state)
{
    const struct daemon *server = *state;
    json_t *rolled = outputs(server, "/predict",
                             "{\"model\": \"forecast\", \"instances\": [[[21.5, 40], [22, 41]]], \"rollout\": "
                             "{\"steps\": 3, \"known\": {\"humidity\": [[42, 43, 44]]}}}");
    double y[3];
    char body[400];
    y[0] = first_of(server, "{\"model\": \"forecast\", \"instances\": [[[21.5, 40], [22, 41]]]}");
    snprintf(body, sizeof body, "{\"model\": \"forecast\", \"instances\": [[[21.5, 40], [22, 41], [%.9g, 42]]]}", y[0]);
    y[1] = first_of(server, body);
    snprintf(body, sizeof body,
             "{\"model\": \"forecast\", \"instances\": [[[21.5, 40], [22, 41], [%.9g, 42], [%.9g, 43]]]}", y[0], y[1]);
    y[2] = first_of(server, body);
    for (size_t i = 0; i < 3; i++) {
        double got = json_number_value(json_array_get(json_array_get(json_array_get(rolled, 0), i), 0));
        if (fabs(got - y[i]) > 2e-6 * fabs(y[i]))
            fail_msg("step %zu: %.9g, by hand %.9g", i, got, y[i]);
    }
    json_decref(rolled);
    static const char *const cases[][3] = {
        {"{\"steps\": 3}", "wrong_shape", "/rollout"},
        {"{\"steps\": 3, \"known\": {\"humidity\": [[1, 2]]}}", "wrong_shape", "/rollout/known"},
        {"{\"steps\": 1, \"known\": {\"humidity\": [[null]]}}", "missing_value", "/humidity/0"},
        {"{\"steps\": 1, \"known\": {\"humdity\": [[1]]}}", "unknown_key", "/rollout/known/humdity"},
        {"{\"steps\": 1, \"known\": [[1]]}", "wrong_type", "/rollout/known"},
        {"{\"known\": {\"humidity\": [[1]]}}", "missing_key", "/rollout"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        snprintf(body, sizeof body, "{\"model\": \"forecast\", \"instances\": [[[21.5, 40]]], \"rollout\": %s}",
                 cases[i][0]);
        struct reply reply = http_post(server, "/predict", body);
        if (reply.status != 400 || !strstr(reply.body, cases[i][1]) || !strstr(reply.body, cases[i][2]))
            fail_msg("%s: %ld %s", body, reply.status, reply.body);
        reply_free(&reply);
    }
}

/* A stream has the outputs of the unstreamed answer. */
static void streams_are_in_the_units_of_people(void **state)
{
    const struct daemon *server = *state;
    static const char body[] = "{\"model\": \"forecast\", \"instances\": [[[21.5, 40]]], \"rollout\": {\"steps\": 1, "
                               "\"known\": {\"humidity\": [[42]]}}}";
    const char *const headers[] = {"Accept: application/x-ndjson", NULL};
    struct reply reply = http_request(server, "POST", "/predict", body, headers);
    char want[80];
    snprintf(want, sizeof want, "\"outputs\": [[%.8g",
             first_of(server, "{\"model\": \"forecast\", \"instances\": "
                              "[[[21.5, 40]]]}"));
    want[20] = 0; /* without the last digits */
    if (reply.status != 200 || !strstr(reply.body, want))
        fail_msg("%ld %s, expected %s", reply.status, reply.body, want);
    reply_free(&reply);
}

static void tokens_have_a_text(void **state)
{
    const struct daemon *server = *state;
    json_t *answer = ok(http_post(server, "/predict",
                                  "{\"model\": \"writer\", \"instances\": [\"two an\", \"old\"], "
                                  "\"rollout\": {\"steps\": 6, \"seed\": 1}}"));
    static const char *const words[] = {"an", "old", "\u201eword", "two"};
    for (size_t b = 0; b < 2; b++) {
        char want[200] = "";
        const json_t *ids = json_array_get(json_object_get(answer, "outputs"), b);
        assert_int_equal(json_array_size(ids), 6);
        for (size_t t = 0; t < 6; t++) {
            strcat(want, t ? " " : "");
            strcat(want, words[json_integer_value(json_array_get(ids, t))]);
        }
        assert_string_equal(json_string_value(json_array_get(json_object_get(answer, "text"), b)), want);
    }
    json_decref(answer);
}

/* The data of the first output in an answer of the Open Inference Protocol. */
static json_t *inferred(const struct daemon *server, const char *path, const char *body)
{
    json_t *answer = ok(http_post(server, path, body));
    json_t *data = json_incref(json_object_get(json_array_get(json_object_get(answer, "outputs"), 0), "data"));
    json_decref(answer);
    return data;
}

static void open_inference_takes_raw_values_and_texts(void **state)
{
    const struct daemon *server = *state;
    json_t *want = outputs(server, "/predict", "{\"instances\": [[[21.5, 40], [22, 41]]]}");
    json_t *got = inferred(server, "/v2/models/weather/infer",
                           "{\"inputs\": [{\"name\": \"inputs\", \"shape\": [1, 2, 2], \"datatype\": \"FP64\", "
                           "\"data\": [21.5, 40, 22, 41]}]}");
    assert_same(json_array_get(want, 0), got);
    json_decref(want);
    json_decref(got);
    want = outputs(server, "/predict", "{\"raw\": true, \"instances\": [[[0.5, 0.25]]]}");
    got = inferred(server, "/v2/models/weather/infer",
                   "{\"parameters\": {\"raw\": true}, \"inputs\": [{\"name\": \"inputs\", \"shape\": [1, 1, 2], "
                   "\"datatype\": \"FP32\", \"data\": [0.5, 0.25]}]}");
    assert_same(json_array_get(want, 0), got);
    json_decref(want);
    json_decref(got);
    want = outputs(server, "/predict", "{\"model\": \"text\", \"instances\": [\"the film\"]}");
    got = inferred(server, "/v2/models/text/infer",
                   "{\"inputs\": [{\"name\": \"inputs\", \"shape\": [1, 1], \"datatype\": \"BYTES\", \"data\": "
                   "[\"the film\"]}]}");
    assert_same(json_array_get(want, 0), got);
    json_decref(want);
    json_decref(got);
    struct reply reply = http_post(server, "/v2/models/weather/infer",
                                   "{\"inputs\": [{\"name\": \"inputs\", \"shape\": [1], \"datatype\": \"BYTES\", "
                                   "\"data\": [\"a\"]}]}");
    assert_int_equal(reply.status, 400);
    reply_free(&reply);
    reply = http_post(server, "/v2/models/text/infer",
                      "{\"inputs\": [{\"name\": \"inputs\", \"shape\": [3], \"datatype\": \"BYTES\", \"data\": "
                      "[\"a\"]}]}");
    assert_error(&reply, 400, "wrong_shape", "/inputs/0/data");
    reply_free(&reply);
}

/* Scalers, features and inverses are given by the names of inputs and outputs. */
static void several_inputs_and_outputs(void **state)
{
    const struct daemon *server = *state;
    static const char *const bodies[] = {
        "{\"model\": \"two\", \"inputs\": {\"history\": [[[2, 1], [4, -1]]], \"static\": [[5]]}}",
        "{\"model\": \"two\", \"instances\": [{\"static\": [5], \"history\": [{\"q\": 1, \"p\": 2}, [4, -1]]}]}"};
    json_t *raw = outputs(server, "/predict",
                          "{\"model\": \"two\", \"raw\": true, \"inputs\": {\"history\": [[[0.5, 0.5], [1, -0.5]]], "
                          "\"static\": [[2]]}}");
    for (size_t k = 0; k < 2; k++) {
        json_t *got = outputs(server, "/predict", bodies[k]);
        assert_same(json_object_get(raw, "a"), json_object_get(got, "a"));
        for (size_t i = 0; i < 2; i++) {
            double want = (double)(float)at(json_object_get(raw, "b"), i) * (i ? 8 : 7) + (i ? 6 : 5);
            assert_true((float)at(json_object_get(got, "b"), i) == (float)want);
        }
        json_decref(got);
    }
    json_decref(raw);
    assert_predict_error(server, "{\"model\": \"two\", \"inputs\": {\"history\": [[[2, null]]], \"static\": [[5]]}}",
                         400, "missing_value", "/inputs");
}

static double drift(const struct daemon *server, const char *name, const char *feature)
{
    char full[160];
    snprintf(full, sizeof full, "cellserve_input_%s{model=\"weather\",feature=\"%s\"}", name, feature);
    return metric(server, full);
}

static void values_outside_of_the_range_are_counted(void **state)
{
    const struct daemon *server = *state;
    double warm = drift(server, "out_of_range_total", "temperature"),
           wet = drift(server, "out_of_range_total", "humidity");
    assert_true(warm >= 0 && wet >= 0);
    json_decref(outputs(server, "/predict", "{\"instances\": [[[45, 100], [45.5, 0], [-20.1, 100.5]]]}"));
    json_decref(outputs(server, "/predict", "{\"raw\": true, \"instances\": [[[500, 500]]]}"));
    assert_true(drift(server, "out_of_range_total", "temperature") == warm + 2);
    assert_true(drift(server, "out_of_range_total", "humidity") == wet + 1);
    char body[16384];
    size_t n = (size_t)snprintf(body, sizeof body, "{\"instances\": [[[10, 20]");
    for (int i = 0; i < 999; i++)
        n += (size_t)snprintf(body + n, sizeof body - n, ",[%d, 20]", i % 2 ? 10 : 14);
    snprintf(body + n, sizeof body - n, "]]}");
    for (int i = 0; i < 100; i++) /* only a sample of their timesteps is counted */
        json_decref(outputs(server, "/predict", body));
    double mean = drift(server, "mean", "temperature"), deviation = drift(server, "deviation", "temperature");
    if (fabs(mean - 12) > 0.1 || fabs(deviation - 2) > 0.4) /* the values of other tests are counted too */
        fail_msg("mean %g, deviation %g", mean, deviation);
}

static void metadata_show_the_transform(void **state)
{
    const struct daemon *server = *state;
    json_t *data = ok(http_get(server, "/v1/models/weather/metadata"));
    const json_t *transform = json_object_get(data, "transform");
    assert_string_equal(json_string_value(json_object_get(json_object_get(transform, "input_scaler"), "class_name")),
                        "MinMaxScaler");
    assert_int_equal(json_array_size(json_object_get(transform, "features")), 2);
    json_decref(data);
    data = ok(http_get(server, "/v1/models/plain/metadata"));
    assert_true(json_is_null(json_object_get(data, "transform")));
    json_decref(data);
}

static int start(void **state)
{
    static struct daemon server;
    daemon_start(&server, models, NULL);
    *state = &server;
    return 0;
}

static int stop(void **state)
{
    assert_int_equal(daemon_stop(*state, SIGINT), 0);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(raw_values_are_scaled),
                                       cmocka_unit_test(raw_true_skips_the_transform),
                                       cmocka_unit_test(timesteps_are_objects_of_features),
                                       cmocka_unit_test(missing_values_take_the_one_before),
                                       cmocka_unit_test(numbers_must_fit_float32_when_they_are_scaled),
                                       cmocka_unit_test(missing_values_take_those_of_the_session),
                                       cmocka_unit_test(classes_have_labels),
                                       cmocka_unit_test(classes_of_streams_have_labels),
                                       cmocka_unit_test(texts_become_ids),
                                       cmocka_unit_test(rollouts_go_through_the_scalers),
                                       cmocka_unit_test(streams_are_in_the_units_of_people),
                                       cmocka_unit_test(tokens_have_a_text),
                                       cmocka_unit_test(open_inference_takes_raw_values_and_texts),
                                       cmocka_unit_test(several_inputs_and_outputs),
                                       cmocka_unit_test(values_outside_of_the_range_are_counted),
                                       cmocka_unit_test(metadata_show_the_transform)};
    return cmocka_run_group_tests(tests, start, stop);
}
