/* Every endpoint, and every part of the request and the answer of a prediction. */
#include "e2e.h"

#include <signal.h>

static struct daemon server;

static const char config[] =
    "{\"models\": ["
    "{\"name\": \"first\", \"input_size\": 2, \"seed\": 3, \"layer\": {\"class_name\": "
    "\"RNN\", \"config\": {\"cell\": ["
    "  {\"class_name\": \"LSTMCell\", \"config\": {\"units\": 5}}, {\"class_name\": "
    "\"GRUCell\", \"config\": {\"units\": 3}}]}}},"
    "{\"name\": \"nested\", \"input_size\": 2, \"seed\": 3, \"layer\": {\"class_name\": "
    "\"StackedRNNCells\", \"config\": {\"cells\": ["
    "  {\"class_name\": \"StackedRNNCells\", \"config\": {\"cells\": [{\"class_name\": "
    "\"LSTMCell\", \"config\": {\"units\": 4}}]}},"
    "  {\"class_name\": \"SimpleRNNCell\", \"config\": {\"units\": 3}}]}}},"
    "{\"name\": \"bare\", \"input_size\": 1, \"seed\": 3, \"layer\": {\"class_name\": "
    "\"GRUCell\", \"config\": {\"units\": 2}}},"
    "{\"name\": \"major\", \"input_size\": 2, \"seed\": 3, \"layer\": {\"class_name\": "
    "\"LSTM\", \"config\": {\"units\": 3, "
    "  \"time_major\": true, \"return_sequences\": true}}},"
    "{\"name\": \"blowup\", \"input_size\": 1, \"layer\": {\"class_name\": \"SimpleRNN\", "
    "\"config\": {\"units\": 1, \"activation\": "
    "  \"exponential\", \"kernel_initializer\": \"ones\"}}},"
    "{\"name\": \"open\", \"input_size\": 2, \"allow_nonfinite\": true, \"seed\": 3, \"layer\": "
    "{\"class_name\": \"LSTM\", \"config\": {\"units\": 5}}},"
    "{\"name\": \"open_gru\", \"input_size\": 2, \"allow_nonfinite\": true, \"seed\": 3, "
    "\"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 17, \"return_sequences\": "
    "true}}},"
    "{\"name\": \"open_norm\", \"input_size\": 2, \"allow_nonfinite\": true, \"seed\": 3, "
    "\"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": ["
    "{\"class_name\": \"Bidirectional\", \"config\": {\"layer\": {\"class_name\": \"LSTM\", "
    "\"config\": {\"units\": 4, \"return_sequences\": true}}}},"
    "{\"class_name\": \"LayerNormalization\", \"config\": {}},"
    "{\"class_name\": \"GlobalMaxPooling1D\", \"config\": {}},"
    "{\"class_name\": \"Dense\", \"config\": {\"units\": 3}}]}}},"
    "{\"name\": \"any\", \"input_size\": 1, \"allow_nonfinite\": true, \"layer\": "
    "{\"class_name\": \"SimpleRNN\", \"config\": {\"units\": 1, "
    "  \"activation\": \"exponential\", \"kernel_initializer\": \"ones\"}}}],"
    " \"limits\": {\"drain_delay_ms\": 0}}";

static json_t *predict(const char *body)
{
    return ok(http_post(&server, "/predict", body));
}

/* "2x5" for a list of two lists of five. */
static void assert_shape(const json_t *json, const char *expected)
{
    char found[64] = "";
    for (; json_is_array(json); json = json_array_get(json, 0))
        snprintf(found + strlen(found), sizeof found - strlen(found), "%s%zu", *found ? "x" : "",
                 json_array_size(json));
    assert_string_equal(found, expected);
}

static void default_model_is_the_first(void **state)
{
    (void)state;
    json_t *reply = predict("{\"instances\": [[[1, 2], [3, 4]]]}");
    assert_string_equal(json_string_value(json_object_get(reply, "model")), "first");
    assert_string_equal(json_string_value(json_object_get(reply, "version")), "1");
    assert_shape(json_object_get(reply, "outputs"), "1x3");
    const json_t *states = json_object_get(reply, "states");
    assert_int_equal(json_array_size(states), 2);
    assert_shape(json_array_get(states, 0), "2x1x5");
    assert_shape(json_array_get(states, 1), "1x1x3");
    json_decref(reply);
}

static void return_sequences_and_return_state_override(void **state)
{
    (void)state;
    json_t *reply = predict("{\"instances\": [[[1, 2], [3, 4]]], \"return_sequences\": true, \"return_state\": false}");
    assert_shape(json_object_get(reply, "outputs"), "1x2x3");
    assert_null(json_object_get(reply, "states"));
    json_t *last = predict("{\"instances\": [[[1, 2], [3, 4]]]}");
    assert_same(json_array_get(json_array_get(json_object_get(reply, "outputs"), 0), 1),
                json_array_get(json_object_get(last, "outputs"), 0));
    json_decref(reply);
    json_decref(last);
}

static void states_sent_back_continue_the_sequence(void **state)
{
    (void)state;
    static const char *const models[] = {"first", "nested"};
    for (size_t i = 0; i < 2; i++) {
        char body[4096];
        snprintf(body, sizeof body, "{\"model\": \"%s\", \"instances\": [[[1, 2], [3, -4], [0.5, 0.25]]]}", models[i]);
        json_t *whole = predict(body);
        snprintf(body, sizeof body, "{\"model\": \"%s\", \"instances\": [[[1, 2]]]}", models[i]);
        json_t *first = predict(body);
        char *states = json_dumps(json_object_get(first, "states"), 0);
        snprintf(body, sizeof body,
                 "{\"model\": \"%s\", \"instances\": [[[3, -4], [0.5, 0.25]]], \"initial_state\": %s}", models[i],
                 states);
        json_t *second = predict(body);
        assert_same(json_object_get(whole, "outputs"), json_object_get(second, "outputs"));
        assert_same(json_object_get(whole, "states"), json_object_get(second, "states"));
        free(states);
        json_decref(whole);
        json_decref(first);
        json_decref(second);
    }
}

static void initial_state_of_one_state_cells_needs_no_inner_list(void **state)
{
    (void)state;
    json_t *a = predict("{\"model\": \"bare\", \"instances\": [[[1]]], \"initial_state\": [[[[0.5, -0.5]]]]}");
    json_t *b = predict("{\"model\": \"bare\", \"instances\": [[[1]]], \"initial_state\": [[[0.5, -0.5]]]}");
    json_t *zero = predict("{\"model\": \"bare\", \"instances\": [[[1]]]}");
    assert_same(a, b);
    assert_false(json_equal(a, zero));
    json_decref(a);
    json_decref(b);
    json_decref(zero);
}

static void step_is_the_stack_as_a_cell(void **state)
{
    (void)state;
    json_t *step = ok(http_post(&server, "/v1/models/first:step", "{\"inputs\": [[1, 2]]}"));
    json_t *whole = predict("{\"instances\": [[[1, 2]]]}");
    assert_same(json_object_get(step, "outputs"), json_object_get(whole, "outputs"));
    assert_same(json_object_get(step, "states"), json_object_get(whole, "states"));
    char body[4096], *states = json_dumps(json_object_get(step, "states"), 0);
    snprintf(body, sizeof body, "{\"inputs\": [[3, 4]], \"states\": %s}", states);
    json_t *next = ok(http_post(&server, "/v1/models/first/versions/1:step", body));
    json_t *both = predict("{\"instances\": [[[1, 2], [3, 4]]]}");
    assert_same(json_object_get(next, "outputs"), json_object_get(both, "outputs"));
    free(states);
    json_decref(step);
    json_decref(whole);
    json_decref(next);
    json_decref(both);
}

static void initial_state_gives_zeros(void **state)
{
    (void)state;
    json_t *reply = ok(http_post(&server, "/v1/models/nested:initial_state", "{\"batch_size\": 2}"));
    json_t *zeros =
        json_loads("{\"states\": [[[[[0.0,0.0,0.0,0.0],[0.0,0.0,0.0,0.0]],[[0.0,0.0,0.0,0.0],[0.0,0.0,0.0,0.0]]]],"
                   "[[[0.0,0.0,0.0],[0.0,0.0,0.0]]]]}",
                   0, NULL);
    assert_same(reply, zeros);
    json_decref(reply);
    json_decref(zeros);
}

static void ragged_sequences_equal_each_alone(void **state)
{
    (void)state;
    json_t *both = predict("{\"instances\": [[[1, 2]], [[3, 4], [5, 6], [7, 8]]], \"return_sequences\": true}");
    json_t *one = predict("{\"instances\": [[[1, 2]]], \"return_sequences\": true}");
    json_t *two = predict("{\"instances\": [[[3, 4], [5, 6], [7, 8]]], \"return_sequences\": true}");
    const json_t *outputs = json_object_get(both, "outputs");
    assert_same(json_array_get(outputs, 0), json_array_get(json_object_get(one, "outputs"), 0));
    assert_same(json_array_get(outputs, 1), json_array_get(json_object_get(two, "outputs"), 0));
    json_decref(both);
    json_decref(one);
    json_decref(two);
}

static void time_major_has_time_first(void **state)
{
    (void)state;
    json_t *reply =
        predict("{\"model\": \"major\", \"instances\": [[[1, 2], [3, 4]], [[5, 6], [7, 8]], [[0, 0], [1, 1]]]}");
    assert_shape(json_object_get(reply, "outputs"), "3x2x3");
    assert_shape(json_array_get(json_object_get(reply, "states"), 0), "2x2x3");
    json_t *last = predict(
        "{\"model\": \"major\", \"return_sequences\": false, \"instances\": [[[1, 2], [3, 4]], [[5, 6], [7, 8]], "
        "[[0, 0], [1, 1]]]}");
    assert_same(json_array_get(json_object_get(reply, "outputs"), 2), json_object_get(last, "outputs"));
    json_decref(reply);
    json_decref(last);
}

static void mask_freezes_states(void **state)
{
    (void)state;
    json_t *masked = predict("{\"instances\": [[[1, 2], [9, 9], [3, 4]]], \"mask\": [[true, false, true]]}");
    json_t *ones = predict("{\"instances\": [[[1, 2], [9, 9], [3, 4]]], \"mask\": [[1, 0, 1]]}");
    json_t *without = predict("{\"instances\": [[[1, 2], [3, 4]]]}");
    assert_same(masked, without);
    assert_same(ones, without);
    json_decref(masked);
    json_decref(ones);
    json_decref(without);
}

static void nonfinite_numbers_need_permission(void **state)
{
    (void)state;
    assert_predict_error(&server, "{\"model\": \"blowup\", \"instances\": [[[1000]]]}", 500, "nonfinite_output",
                         "/instances/0");
    assert_predict_error(&server, "{\"model\": \"blowup\", \"instances\": [[[NaN]]]}", 400, "invalid_json", NULL);
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1000]]], \"model\": \"any\"}");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"outputs\": [[Infinity]]"));
    reply_free(&reply);
    reply =
        http_post(&server, "/predict", "{\"instances\": [[[NaN]], [[-Infinity]], [[Infinity]]], \"model\": \"any\"}");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"outputs\": [[NaN],[0.0],[Infinity]]"));
    reply_free(&reply);
}

/* If a row of a request overflows, the error names this row. */
static void a_row_that_overflows_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *target, *body, *path;
    } rows[] = {
        {"/predict", "{\"model\": \"blowup\", \"instances\": [[[1]], [[2]], [[3]], [[1000]], [[4]]]}", "/instances/3"},
        {"/v1/models/blowup:predict", "{\"instances\": [[[1]], [[1000]]]}", "/instances/1"},
        {"/v1/models/blowup:predict", "{\"inputs\": [[[1]], [[1]], [[1000]]]}", "/inputs/2"},
        {"/v1/models/blowup:step", "{\"inputs\": [[1], [1000]]}", "/inputs/1"},
        {"/v2/models/blowup/infer",
         "{\"inputs\": [{\"name\": \"inputs\", \"datatype\": \"FP32\", \"shape\": [2, 1, 1], \"data\": [1, 1000]}], "
         "\"outputs\": [{\"name\": \"outputs\", \"parameters\": {\"binary_data\": true}}]}",
         "/inputs/0/1"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = http_post(&server, rows[i].target, rows[i].body);
        assert_error(&reply, 500, "nonfinite_output", rows[i].path);
        reply_free(&reply);
    }
}

/* If one row has NaN, the other rows have the same bits as without it. */
static void rows_beside_nan_keep_their_bits(void **state)
{
    (void)state;
    static const char *const models[] = {"open", "open_gru", "open_norm"};
    for (size_t m = 0; m < sizeof models / sizeof *models; m++)
        for (size_t bad = 0; bad < 9; bad += 4) {
            char body[2][1024];
            json_t *answers[2];
            for (size_t k = 0; k < 2; k++) {
                size_t n = (size_t)sprintf(body[k], "{\"model\": \"%s\", \"instances\": [", models[m]);
                for (size_t b = 0; b < 9; b++)
                    n += (size_t)sprintf(body[k] + n, "%s[[0.%zu, %s], [-0.%zu, 0.5]]", b ? ", " : "", b + 1,
                                         k && b == bad ? "NaN" : "0.25", b);
                sprintf(body[k] + n, "]}");
                struct reply reply = http_post(&server, "/predict", body[k]);
                assert_int_equal(reply.status, 200);
                size_t nans = 0;
                for (char *at = reply.body; (at = strstr(at, "NaN")); nans++)
                    memcpy(at, "0.0", 3); /* jansson cannot read NaN */
                assert_true(k ? nans > 0 : nans == 0);
                answers[k] = json_loads(reply.body, 0, NULL);
                assert_non_null(answers[k]);
                reply_free(&reply);
            }
            json_t *clean = json_object_get(answers[0], "outputs"), *with = json_object_get(answers[1], "outputs");
            for (size_t b = 0; b < 9; b++)
                if (b != bad)
                    assert_same(json_array_get(clean, b), json_array_get(with, b));
            json_t *h = json_array_get(json_array_get(json_object_get(answers[0], "states"), 0), 0);
            json_t *h_with = json_array_get(json_array_get(json_object_get(answers[1], "states"), 0), 0);
            for (size_t b = 0; b < 9; b++)
                if (b != bad)
                    assert_same(json_array_get(h, b), json_array_get(h_with, b));
            json_decref(answers[0]);
            json_decref(answers[1]);
        }
}

static void models_are_listed(void **state)
{
    (void)state;
    json_t *list = ok(http_get(&server, "/v1/models"));
    json_t *expected = json_loads("{\"models\": [\"first\", \"nested\", \"bare\", \"major\", \"blowup\", \"open\", "
                                  "\"open_gru\", \"open_norm\", \"any\"]}",
                                  0, NULL);
    assert_same(list, expected);
    json_decref(list);
    json_decref(expected);
    json_t *status = ok(http_get(&server, "/v1/models/first"));
    const json_t *version = json_array_get(json_object_get(status, "model_version_status"), 0);
    assert_string_equal(json_string_value(json_object_get(version, "state")), "AVAILABLE");
    json_decref(status);
    json_t *metadata = ok(http_get(&server, "/v1/models/nested/metadata"));
    json_t *size = json_loads("[[[4, 4]], [3]]", 0, NULL);
    assert_same(json_object_get(metadata, "state_size"), size);
    assert_int_equal(json_integer_value(json_object_get(metadata, "output_size")), 3);
    assert_int_equal(json_integer_value(json_object_get(metadata, "input_size")), 2);
    json_decref(metadata);
    json_decref(size);
}

static void health_endpoints_answer(void **state)
{
    (void)state;
    static const char *const paths[] = {"/livez", "/readyz", "/healthz"};
    for (size_t i = 0; i < 3; i++) {
        struct reply reply = http_get(&server, paths[i]);
        assert_int_equal(reply.status, 200);
        assert_string_equal(reply.body, "ok\n");
        reply_free(&reply);
    }
    struct reply reply = http_get(&server, "/healthz?verbose");
    assert_string_equal(reply.body, "[+]live ok\n[+]ready ok\n[+]sessions ok\nhealthz check passed\n");
    reply_free(&reply);
    reply = http_request(&server, "HEAD", "/readyz", NULL, NULL);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
}

static void wrong_paths_and_methods_are_refused(void **state)
{
    (void)state;
    static const char *const nowhere[] = {"/none",
                                          "/predict/",
                                          "/Predict",
                                          "/v1/models/",
                                          "/v1/models/first:fly",
                                          "/predict%20",
                                          "/v1/models/first/versions/:step"};
    for (size_t i = 0; i < sizeof nowhere / sizeof *nowhere; i++) {
        struct reply reply = http_get(&server, nowhere[i]);
        assert_error(&reply, 404, "not_found", NULL);
        reply_free(&reply);
    }
    struct reply reply = http_get(&server, "/v1/models/absent");
    assert_error(&reply, 404, "model_not_found", NULL);
    reply_free(&reply);
    reply = http_post(&server, "/v1/models/first/versions/2:step", "{}");
    assert_error(&reply, 404, "version_not_found", NULL);
    reply_free(&reply);
    reply = http_get(&server, "/predict");
    assert_error(&reply, 405, "method_not_allowed", NULL);
    assert_non_null(strstr(reply.headers, "Allow: POST\r\n"));
    reply_free(&reply);
    reply = http_post(&server, "/livez", "{}");
    assert_error(&reply, 405, "method_not_allowed", NULL);
    assert_non_null(strstr(reply.headers, "Allow: GET, HEAD\r\n"));
    reply_free(&reply);
}

static void metadata_list_inputs_and_outputs(void **state)
{
    (void)state;
    struct reply reply = http_get(&server, "/v1/models/first/metadata");
    const json_t *input = json_array_get(json_object_get(reply.json, "inputs"), 0);
    const json_t *output = json_array_get(json_object_get(reply.json, "outputs"), 0);
    json_t *wanted = json_loads("[[-1, -1, 2], [-1, 3]]", 0, NULL);
    assert_true(json_equal(json_object_get(input, "shape"), json_array_get(wanted, 0)));
    assert_true(json_equal(json_object_get(output, "shape"), json_array_get(wanted, 1)));
    assert_string_equal(json_string_value(json_object_get(input, "dtype")), "float32");
    assert_string_equal(json_string_value(json_object_get(reply.json, "weights")), "initializers");
    assert_int_equal(json_integer_value(json_object_get(reply.json, "parameters")),
                     4 * 5 * (2 + 5 + 1) + 3 * 3 * (5 + 3 + 2));
    assert_true(json_is_true(json_object_get(json_object_get(reply.json, "timesteps"), "streamable")));
    json_decref(wanted);
    reply_free(&reply);
}

/* Browsers ask for text/html; programs get the index. */
static void the_root_is_a_page_for_browsers(void **state)
{
    (void)state;
    const char *const browser[] = {"Accept: text/html,application/xhtml+xml;q=0.9,*/*;q=0.8", NULL};
    const char *const unwanted[] = {"Accept: application/json, text/html;q=0", NULL};
    struct reply page = http_request(&server, "GET", "/", NULL, browser);
    assert_int_equal(page.status, 200);
    assert_non_null(strstr(page.headers, "Content-Type: text/html; charset=utf-8\r\n"));
    assert_non_null(strstr(page.headers, "Content-Security-Policy: default-src 'none'; script-src 'sha256-"));
    assert_non_null(strstr(page.headers, "frame-ancestors 'none'"));
    assert_non_null(strstr(page.headers, "Vary: Accept\r\n"));
    assert_int_equal(strncmp(page.body, "<!doctype html>", 15), 0);
    assert_true(page.bytes > 10000 && page.bytes < 80 * 1024);
    reply_free(&page);
    struct reply index = http_request(&server, "GET", "/", NULL, unwanted);
    assert_string_equal(json_string_value(json_object_get(index.json, "status")), "alive");
    assert_string_equal(json_string_value(json_object_get(json_object_get(index.json, "links"), "openapi")),
                        "/openapi.json");
    assert_null(strstr(index.headers, "Content-Security-Policy"));
    assert_non_null(strstr(index.headers, "Vary: Accept\r\n"));
    reply_free(&index);
}

static int start(void **state)
{
    (void)state;
    daemon_start(&server, config, (const char *const[]){"--log", "json", NULL});
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return daemon_stop(&server, SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(default_model_is_the_first),
        cmocka_unit_test(return_sequences_and_return_state_override),
        cmocka_unit_test(states_sent_back_continue_the_sequence),
        cmocka_unit_test(initial_state_of_one_state_cells_needs_no_inner_list),
        cmocka_unit_test(step_is_the_stack_as_a_cell),
        cmocka_unit_test(initial_state_gives_zeros),
        cmocka_unit_test(ragged_sequences_equal_each_alone),
        cmocka_unit_test(time_major_has_time_first),
        cmocka_unit_test(mask_freezes_states),
        cmocka_unit_test(nonfinite_numbers_need_permission),
        cmocka_unit_test(a_row_that_overflows_is_named),
        cmocka_unit_test(rows_beside_nan_keep_their_bits),
        cmocka_unit_test(models_are_listed),
        cmocka_unit_test(health_endpoints_answer),
        cmocka_unit_test(wrong_paths_and_methods_are_refused),
        cmocka_unit_test(the_root_is_a_page_for_browsers),
        cmocka_unit_test(metadata_list_inputs_and_outputs),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
