/* Requests of TensorFlow Serving and the Open Inference Protocol, NumPy arrays, compressed answers, and variables of
   hosting platforms give the same results as /predict. (tests/clients runs the protocols' own clients.) */
#include "e2e.h"

#include <math.h>
#include <signal.h>
#include <unistd.h>

static struct daemon server;

static const char config[] =
    "{\"models\": ["
    "{\"name\": \"stack\", \"seed\": 7, \"input_size\": 2, \"layer\": {\"class_name\": \"RNN\", \"config\": {\"cell\": "
    "["
    "  {\"class_name\": \"LSTMCell\", \"config\": {\"units\": 3}}, {\"class_name\": \"GRUCell\", \"config\": "
    "{\"units\": "
    "2}}]}}},"
    "{\"name\": \"states\", \"seed\": 8, \"input_size\": 1, \"layer\": {\"class_name\": \"SimpleRNN\", \"config\": "
    "{\"units\": 2, \"return_sequences\": true, \"return_state\": true}}},"
    "{\"name\": \"both\", \"seed\": 9, \"input_size\": 1, \"layer\": {\"class_name\": \"Bidirectional\", \"config\": "
    "{\"merge_mode\": null, \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 3}}}}}]}";

static int start(void **state)
{
    (void)state;
    setenv("AIP_HEALTH_ROUTE", "/health", 1);
    setenv("AIP_PREDICT_ROUTE", "/vertex", 1);
    daemon_start(&server, config, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return daemon_stop(&server, SIGINT);
}

static json_t *post(const char *path, const char *body)
{
    struct reply reply = http_post(&server, path, body);
    if (reply.status != 200)
        fail_msg("%s %s: %ld %s", path, body, reply.status, reply.body);
    json_t *json = json_incref(reply.json);
    reply_free(&reply);
    return json;
}

static void assert_json(const json_t *got, const json_t *want)
{
    if (!json_equal(got, want))
        fail_msg("%s, expected %s", json_dumps(got, JSON_ENCODE_ANY), json_dumps(want, JSON_ENCODE_ANY));
}

#define ROWS "[[[1, 2], [3, 4]], [[-1, 0.5], [0, 1]]]"

static void rows_and_columns_of_tensorflow_serving(void **state)
{
    (void)state;
    json_t *want = post("/predict", "{\"model\": \"stack\", \"instances\": " ROWS "}");
    const json_t *outputs = json_object_get(want, "outputs");
    static const char *const paths[] = {"/v1/models/stack:predict", "/v1/models/stack/versions/1:predict",
                                        "/invocations", "/vertex"};
    for (size_t i = 0; i < 4; i++) {
        json_t *rows = post(paths[i], "{\"instances\": " ROWS ", \"parameters\": {\"a\": [1]}}");
        assert_json(json_object_get(rows, "predictions"), outputs);
        json_t *columns = post(paths[i], "{\"inputs\": " ROWS ", \"signature_name\": \"serving_default\"}");
        assert_json(json_object_get(columns, "outputs"), outputs);
        json_decref(rows);
        json_decref(columns);
    }
    json_t *named = post("/v1/models/stack:predict", "{\"inputs\": { \"inputs\" : " ROWS " }}");
    assert_json(json_object_get(named, "outputs"), outputs);
    json_decref(named);
    named = post("/v1/models/stack:predict",
                 "{\"instances\": [{\"inputs\": [[1, 2], [3, 4]]}, { \"inputs\" : [[-1, 0.5], [0, 1]] } ]}");
    assert_json(json_object_get(named, "predictions"), outputs);
    json_decref(named);
    json_decref(want);
}

static void several_outputs_have_names(void **state)
{
    (void)state;
    json_t *want = post("/predict", "{\"model\": \"states\", \"instances\": [[[1], [2]], [[3]]]}");
    json_t *rows = post("/v1/models/states:predict", "{\"instances\": [[[1], [2]], [[3]]]}");
    json_t *columns = post("/v1/models/states:predict", "{\"inputs\": [[[1], [2]], [[3]]]}");
    const json_t *h = json_array_get(json_array_get(json_object_get(want, "states"), 0), 0);
    assert_json(json_object_get(json_object_get(columns, "outputs"), "outputs"), json_object_get(want, "outputs"));
    assert_json(json_object_get(json_object_get(columns, "outputs"), "state.0.h"), h);
    for (size_t b = 0; b < 2; b++) {
        const json_t *row = json_array_get(json_object_get(rows, "predictions"), b);
        assert_int_equal(json_object_size(row), 2);
        assert_json(json_object_get(row, "outputs"), json_array_get(json_object_get(want, "outputs"), b));
        assert_json(json_object_get(row, "state.0.h"), json_array_get(h, b));
    }
    json_decref(want);
    json_decref(rows);
    json_decref(columns);
}

static void wrong_requests_of_tensorflow_serving(void **state)
{
    (void)state;
    static const struct {
        const char *path, *body;
        int status;
        const char *code, *at;
    } rows[] = {
        {"/v1/models/stack:predict", "{}", 400, "missing_key", NULL},
        {"/v1/models/stack:predict", "{\"instances\": " ROWS ", \"inputs\": " ROWS "}", 400, "conflicting_keys",
         "/inputs"},
        {"/v1/models/stack:predict", "{\"instances\": " ROWS ", \"signature_name\": \"x\"}", 400, "unknown_signature",
         "/signature_name"},
        {"/v1/models/stack:predict", "{\"instances\": []}", 400, "empty_input", "/instances"},
        {"/v1/models/stack:predict", "{\"instances\": [{\"inputs\": [[1, 2]], \"x\": 1}]}", 400, "unknown_key",
         "/instances/0/x"},
        {"/v1/models/stack:predict", "{\"instances\": [{\"inputs\": [[1, 2]]]}", 400, "invalid_json", NULL},
        {"/v1/models/stack:predict", "{\"inputs\": {\"inputs\": 1}}", 400, "wrong_type", "/inputs/inputs"},
        {"/v1/models/none:predict", "{}", 404, "model_not_found", NULL},
        {"/v1/models/stack/versions/2:predict", "{}", 404, "version_not_found", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = http_post(&server, rows[i].path, rows[i].body);
        assert_error(&reply, rows[i].status, rows[i].code, rows[i].at);
        reply_free(&reply);
    }
}

#define INPUT(shape, type, data)                                                                                       \
    "{\"name\": \"inputs\", \"shape\": " shape ", \"datatype\": \"" type "\", \"data\": " data "}"

static void tensors_of_the_open_inference_protocol(void **state)
{
    (void)state;
    json_t *want = post("/predict", "{\"model\": \"stack\", \"instances\": " ROWS "}");
    json_t *got =
        post("/v2/models/stack/infer",
             "{\"id\": \"\\u00e4\\n\", \"inputs\": [" INPUT(
                 "[2, 2, 2]", "FP32",
                 "[1,2,3,4,-1,0.5,0,1]") "],"
                                         " \"outputs\": [{\"name\": \"state.1.h\"}, {\"name\": \"outputs\"}]}");
    assert_string_equal(json_string_value(json_object_get(got, "id")), "\u00e4\n");
    assert_string_equal(json_string_value(json_object_get(got, "model_name")), "stack");
    const json_t *outputs = json_object_get(got, "outputs"), *first = json_array_get(outputs, 0);
    const json_t *h = json_array_get(json_array_get(json_object_get(want, "states"), 1), 0);
    assert_string_equal(json_string_value(json_object_get(first, "name")), "state.1.h");
    for (size_t b = 0; b < 2; b++)
        for (size_t u = 0; u < 2; u++) {
            assert_json(json_array_get(json_object_get(first, "data"), 2 * b + u),
                        json_array_get(json_array_get(h, b), u));
            assert_json(json_array_get(json_object_get(json_array_get(outputs, 1), "data"), 2 * b + u),
                        json_array_get(json_array_get(json_object_get(want, "outputs"), b), u));
        }
    json_decref(got);
    json_decref(want);
}

/* sequence_length cuts a sequence, and outputs after the end of a sequence are 0. */
static void shorter_sequences_are_filled_with_zeros(void **state)
{
    (void)state;
    json_t *want = post("/predict", "{\"model\": \"states\", \"instances\": [[[1]], [[3], [4]]]}");
    json_t *got =
        post("/v2/models/states/infer",
             "{\"inputs\": [" INPUT("[2, 2, 1]", "FP64",
                                    "[[[1],[9]],[[3],[4]]]") ","
                                                             " {\"name\": \"sequence_length\", \"shape\": [2], "
                                                             "\"datatype\": \"INT32\", \"data\": [1, 2]}]}");
    const json_t *data = json_object_get(json_array_get(json_object_get(got, "outputs"), 0), "data");
    const json_t *rows = json_object_get(want, "outputs");
    assert_int_equal(json_array_size(data), 8);
    for (size_t i = 0; i < 8; i++) {
        const json_t *vector = json_array_get(json_array_get(rows, i / 4), i / 2 % 2);
        assert_true(json_real_value(json_array_get(data, i)) ==
                    (vector ? json_real_value(json_array_get(vector, i % 2)) : 0));
    }
    json_decref(got);
    json_decref(want);
}

static void wrong_requests_of_the_open_inference_protocol(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *code, *at;
    } rows[] = {
        {"{}", "missing_key", "/inputs"},
        {"{\"inputs\": 1}", "wrong_type", "/inputs"},
        {"{\"inputs\": [1]}", "wrong_type", "/inputs/0"},
        {"{\"inputs\": [{}]}", "missing_key", "/inputs/0"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "FP32", "[1, 2]") ", {\"nam\": 1}]}", "unknown_key", "/inputs/1/nam"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "BYTES", "[1, 2]") "]}", "wrong_type", "/inputs/0/datatype"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "FP32", "[1, true]") "]}", "wrong_type", "/inputs/0/data"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "FP32", "[1, \"2\"]") "]}", "wrong_type", "/inputs/0/data/1"},
        {"{\"inputs\": [" INPUT("[1, 1, 3]", "FP32", "[1, 2]") "]}", "wrong_shape", "/inputs/0/data"},
        {"{\"inputs\": [" INPUT("[1, 2]", "FP32", "[1, 2]") "]}", "wrong_shape", NULL},
        {"{\"inputs\": [" INPUT("[0, 1, 2]", "FP32", "[]") "]}", "empty_input", "/inputs/0/shape"},
        {"{\"inputs\": [" INPUT("[4294967296, 4294967296, 4294967296]", "FP32", "[1]") "]}", "wrong_shape",
         "/inputs/0/shape"},
        {"{\"inputs\": [" INPUT("[1, -1, 2]", "FP32", "[1, 2]") "]}", "wrong_type", "/inputs/0/shape"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "FP32", "[1, 1e39]") "]}", "number_out_of_range", "/inputs/0/data/1"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "FP32", "[1, 2]") "," INPUT("[1, 1, 2]", "FP32", "[1, 2]") "]}",
         "duplicate_key", "/inputs/1/name"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "FP32", "[1, 2]") ", {\"name\": \"sequence_length\", \"shape\": [1], "
                                                               "\"datatype\": \"INT32\", \"data\": [2]}]}",
         "wrong_shape", "/inputs/1/data"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "FP32", "[1, 2]") ", {\"name\": \"state.0.h\", \"shape\": [1, 2], "
                                                               "\"datatype\": \"FP32\", \"data\": [2, 1]}]}",
         "wrong_shape", "/inputs/1/shape"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "FP32", "[1, 2]") "], \"outputs\": [{\"name\": \"x\"}]}", "unknown_output",
         "/outputs/0/name"},
        {"{\"inputs\": [" INPUT("[1, 1, 2]", "FP32", "[1, 2]") "], \"parameters\": {\"sequence_id\": 1}}",
         "sequence_not_started", "/parameters/sequence_id"},
        {"{\"inputs\": [{\"name\": \"inputs\"}}", "invalid_json", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = http_post(&server, "/v2/models/stack/infer", rows[i].body);
        if (reply.status != 400 || !reply.json ||
            strcmp(json_string_value(json_object_get(reply.json, "code")), rows[i].code) ||
            (rows[i].at && strcmp(json_string_value(json_object_get(reply.json, "path")), rows[i].at)))
            fail_msg("row %zu: %ld %s", i, reply.status, reply.body);
        reply_free(&reply);
    }
}

/* Send raw bytes on a new connection, and expect 200. The answer ends at answer + *bytes; returns its body. */
static const char *exchange(const char *request, size_t n, char *answer, size_t size, size_t *bytes)
{
    int fd = raw_connect(&server);
    raw_send(fd, request, n);
    *bytes = raw_read(fd, answer, size, 5000);
    close(fd);
    assert_int_equal(strncmp(answer, "HTTP/1.1 200", 12), 0);
    return strstr(answer, "\r\n\r\n") + 4;
}

/* The outputs of "stack" for [[1, 2], [3, 4]], as raw floats. */
static void assert_raw_outputs(const char *raw)
{
    float got[2];
    memcpy(got, raw, sizeof got);
    json_t *want = post("/predict", "{\"model\": \"stack\", \"instances\": [[[1, 2], [3, 4]]]}");
    const json_t *row = json_array_get(json_object_get(want, "outputs"), 0);
    for (size_t u = 0; u < 2; u++)
        assert_true(got[u] == (float)json_real_value(json_array_get(row, u)));
    json_decref(want);
}

/* Binary tensors: the values follow the JSON. */
static void binary_tensors_follow_the_json(void **state)
{
    (void)state;
    static const float x[] = {1, 2, 3, 4};
    char request[1024], answer[8192];
    const char *json =
        "{\"inputs\": [{\"name\": \"inputs\", \"shape\": [1, 2, 2], \"datatype\": \"FP32\", \"parameters\": "
        "{\"binary_data_size\": 16}}], \"parameters\": {\"binary_data_output\": true}}";
    int n =
        snprintf(request, sizeof request,
                 "POST /v2/models/stack/infer HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: "
                 "application/octet-stream\r\nInference-Header-Content-Length: %zu\r\nContent-Length: %zu\r\n\r\n%s",
                 strlen(json), strlen(json) + sizeof x, json);
    memcpy(request + n, x, sizeof x);
    size_t bytes;
    const char *body = exchange(request, (size_t)n + sizeof x, answer, sizeof answer, &bytes);
    assert_non_null(strstr(answer, "Content-Type: application/octet-stream"));
    const char *length = strstr(answer, "Inference-Header-Content-Length: ");
    assert_non_null(length);
    assert_int_equal((size_t)(answer + bytes - body), (size_t)atoi(length + 33) + 2 * sizeof(float));
    assert_raw_outputs(answer + bytes - 2 * sizeof(float));
}

static void a_numpy_array_in_and_out(void **state)
{
    (void)state;
    static const float x[] = {1, 2, 3, 4};
    char request[1024], answer[8192];
    int n =
        snprintf(request, sizeof request,
                 "POST /predict?model=stack HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Type: application/x-npy"
                 "\r\nAccept: application/x-npy\r\nContent-Length: %zu\r\n\r\n",
                 80 + sizeof x);
    memcpy(request + n, "\x93NUMPY\x01\x00\x46\x00", 10); /* version 1.0, 70 bytes of header */
    n += 10;
    n += sprintf(request + n, "%-69s\n", "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 2), }");
    memcpy(request + n, x, sizeof x);
    size_t bytes;
    const char *body = exchange(request, (size_t)n + sizeof x, answer, sizeof answer, &bytes);
    assert_int_equal((size_t)(answer + bytes - body), 128 + 2 * sizeof(float));
    assert_int_equal(memcmp(body, "\x93NUMPY\x01\x00\x76\x00", 10), 0);
    assert_non_null(memmem(body, 128, "'shape': (1, 2)", 15));
    assert_raw_outputs(body + 128);
}

/* The two outputs of a Bidirectional that does not merge. */
static void two_outputs_have_two_names(void **state)
{
    (void)state;
    json_t *want = post("/predict", "{\"model\": \"both\", \"instances\": [[[1], [2]]]}");
    json_t *got = post("/v1/models/both:predict", "{\"inputs\": [[[1], [2]]]}");
    const json_t *outputs = json_object_get(got, "outputs");
    assert_json(json_object_get(outputs, "outputs"), json_array_get(json_object_get(want, "outputs"), 0));
    assert_json(json_object_get(outputs, "outputs_1"), json_array_get(json_object_get(want, "outputs"), 1));
    json_decref(want);
    json_decref(got);
}

static void metadata_of_server_and_models_are_served(void **state)
{
    (void)state;
    static const struct {
        const char *path, *contains;
    } rows[] = {
        {"/", "\"status\": \"alive\""},
        {"/v2", "\"binary_tensor_data\""},
        {"/v2/health/live", "\"live\": true"},
        {"/v2/health/ready", "\"ready\": true"},
        {"/v2/models/stack", "{\"name\": \"state.1.h\", \"datatype\": \"FP32\", \"shape\": [-1, 2]}"},
        {"/v2/models/stack/versions/1/ready", "\"ready\": true"},
        {"/v2/models/stack/stats", "\"inference_count\""},
        {"/v2/models/stats", "\"name\": \"both\""},
        {"/ping", "ok"},
        {"/health", "ok"},
        {"/openapi.json", "\"/v2/models/both/infer\""},
        {"/openapi.json", "\"/v1/models/stack:predict\""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = http_get(&server, rows[i].path);
        if (reply.status != 200 || !strstr(reply.body, rows[i].contains))
            fail_msg("%s: %ld %s", rows[i].path, reply.status, reply.body);
        reply_free(&reply);
    }
    struct reply reply = http_get(&server, "/v2/models/none");
    assert_error(&reply, 404, "model_not_found", NULL);
    reply_free(&reply);
    json_t *index = post("/v2/repository/index", "{}");
    assert_int_equal(json_array_size(index), 3);
    json_decref(index);
    reply = http_request(&server, "POST", "/v2/models/stack/infer", "x",
                         (const char *const[]){"Content-Type: text/csv", NULL});
    assert_error(&reply, 415, "unsupported_media_type", NULL);
    reply_free(&reply);
}

/* Variables of platforms set the name and the folder of the model. */
static void platforms_name_the_model(void **state)
{
    (void)state;
    struct daemon other;
    setenv("AIP_STORAGE_URI", SOURCE_DIR "/demo/seed", 1);
    setenv("MODEL_NAME", "sunny", 1);
    daemon_start(&other, NULL, NULL);
    struct reply reply = http_get(&other, "/v1/models");
    assert_string_equal(reply.body, "{\"models\": [\"sunny\"]}\n");
    reply_free(&reply);
    assert_int_equal(daemon_stop(&other, SIGINT), 0);
    unsetenv("AIP_STORAGE_URI");
    unsetenv("MODEL_NAME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_and_columns_of_tensorflow_serving),
        cmocka_unit_test(several_outputs_have_names),
        cmocka_unit_test(wrong_requests_of_tensorflow_serving),
        cmocka_unit_test(tensors_of_the_open_inference_protocol),
        cmocka_unit_test(shorter_sequences_are_filled_with_zeros),
        cmocka_unit_test(wrong_requests_of_the_open_inference_protocol),
        cmocka_unit_test(binary_tensors_follow_the_json),
        cmocka_unit_test(a_numpy_array_in_and_out),
        cmocka_unit_test(two_outputs_have_two_names),
        cmocka_unit_test(metadata_of_server_and_models_are_served),
        cmocka_unit_test(platforms_name_the_model),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
