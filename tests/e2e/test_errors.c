/* Wrong bodies of every kind: status, code and path of the error, and a server that keeps working. */
#include "e2e.h"

#include <signal.h>

static struct daemon server;

static void expect(const char *body, long status, const char *code, const char *path)
{
    assert_predict_error(&server, body, status, code, path);
}

static void bodies_that_are_not_json_are_invalid_json(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "", " ", "{", "}", "[", "{\"instances\"", "{\"instances\":", "{\"instances\": [", "{\"instances\": [[[1, 2]]]",
        "{\"instances\": [[[1, 2]]],}", "{\"instances\": [[[1, 2,]]]}", "{\"instances\": [[[1 2]]]}",
        "{\"instances\": [[[01, 2]]]}", "{\"instances\": [[[+1, 2]]]}", "{\"instances\": [[[.5, 2]]]}",
        "{\"instances\": [[[5., 2]]]}", "{\"instances\": [[[1e, 2]]]}", "{\"instances\": [[[0x10, 2]]]}",
        "{\"instances\": [[[1, 2]]]} x", "{\"instances\": [[[1, 2]]]}}", "{'instances': []}",
        "{\"instances\": [[[1, 2]]], \"x\": tru}", "{\"instances\": [[[1, nan]]]}",
        "{\"instances\": [[[1, Infinity]]]}", "{\"instances\": [[[1, -Infinity]]]}", "{\"model\": \"a\\q\"}",
        "{\"model\": \"\\u12g4\"}", "{\"model\": \"a\nb\"}", "{\"model\": \"\xff\"}", "{\"model\": \"\xc0\xaf\"}",
        "{\"model\": \"\xed\xa0\x80\"}", "\xef\xbb\xbf{}", "{\"a\": 1, \"b\" 2}", "// no\n{}",
        "{\"instances\": [[[1, 2]]] /* no */}", "undefined", "nul", "-", "\"abc",
        /* a wrong value, then invalid JSON: the error is invalid_json */
        "{\"nonsense\": 1, \"instances\": [[[1, 2", "{\"instances\": [[[\"a\", 2]]]", "[1, 2", "{\"model\": 5, ]"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        expect(bodies[i], 400, "invalid_json", NULL);
}

static void first_syntax_error_has_line_and_column(void **state)
{
    (void)state;
    struct reply reply = http_post(&server, "/predict", "{\"instances\":\n  [[[1, 2],\n   [3, x]]]}");
    assert_error(&reply, 400, "invalid_json", NULL);
    assert_non_null(strstr(reply.body, "line 3, column 8: expected a value, found 'x'"));
    reply_free(&reply);
}

static void valid_json_is_never_called_invalid(void **state)
{
    (void)state;
    expect("[]", 400, "wrong_type", NULL);
    expect("3", 400, "wrong_type", NULL);
    expect("null", 400, "wrong_type", NULL);
    expect("\"text\"", 400, "wrong_type", NULL);
    expect("{}", 400, "missing_key", NULL);
    expect("{\"instances\": null}", 400, "missing_key", NULL);
    expect("{\"instances\": [[[1, 2]]], \"instances\": [[[1, 2]]]}", 400, "duplicate_key", "/instances");
    expect("{\"instance\": [[[1, 2]]]}", 400, "unknown_key", "/instance");
    expect("{\"model\": \"\\ud800\", \"instances\": [[[1, 2]]]}", 404, "model_not_found", "/model");
    expect("{\"model\": [1, {\"a\": []}], \"instances\": [[[1, 2]]]}", 400, "wrong_type", "/model");
}

static void nearest_key_is_named(void **state)
{
    (void)state;
    struct reply reply = http_post(&server, "/predict", "{\"instnaces\": []}");
    assert_error(&reply, 400, "unknown_key", "/instnaces");
    assert_non_null(strstr(reply.body, "did you mean \\\"instances\\\"?\""));
    reply_free(&reply);
}

static void long_names_are_cut_between_characters(void **state)
{
    (void)state;
    for (int shift = 0; shift < 4; shift++) {
        char body[1024] = "{\"model\": \"aaa", key[1024] = "{\"aaa";
        body[11 + shift] = key[2 + shift] = 0;
        for (int i = 0; i < 80; i++) {
            strcat(body, "\xe2\x82\xac");
            strcat(key, "\xe2\x82\xac");
        }
        strcat(body, "\", \"instances\": [[[1, 2]]]}");
        strcat(key, "\": 1}");
        struct reply reply = http_post(&server, "/predict", body); /* fails if the reply is not JSON in UTF-8 */
        assert_error(&reply, 404, "model_not_found", "/model");
        reply_free(&reply);
        reply = http_post(&server, "/predict", key);
        assert_int_equal(reply.status, 400);
        assert_non_null(reply.json);
        reply_free(&reply);
    }
}

static void deep_nesting_does_not_crash(void **state)
{
    (void)state;
    size_t depth = 200000;
    char *body = malloc(2 * depth + 64), *at = body;
    at += sprintf(at, "{\"instances\": ");
    memset(at, '[', depth);
    memset(at + depth, ']', depth);
    strcpy(at + 2 * depth, "}");
    struct reply reply = http_post(&server, "/predict", body);
    assert_error(&reply, 400, "wrong_shape", "/instances/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0/0");
    reply_free(&reply);
    strcpy(at + depth, "}"); /* cut short: not JSON */
    reply = http_post(&server, "/predict", body);
    assert_error(&reply, 400, "invalid_json", NULL);
    reply_free(&reply);
    free(body);
}

static void wrong_shapes_are_placed(void **state)
{
    (void)state;
    expect("{\"instances\": []}", 400, "empty_input", "/instances");
    expect("{\"instances\": [[]]}", 400, "empty_input", "/instances/0");
    expect("{\"instances\": [[[1, 2]], []]}", 400, "empty_input", "/instances/1");
    expect("{\"instances\": [1, 2]}", 400, "wrong_shape", "/instances");
    expect("{\"instances\": [[1, 2]]}", 400, "wrong_shape", "/instances/0");
    expect("{\"instances\": [[[[1, 2]]]]}", 400, "wrong_shape", "/instances/0/0");
    expect("{\"instances\": [[[1, 2], [3]]]}", 400, "wrong_shape", "/instances/0/1");
    expect("{\"instances\": [[[1, 2]], [[3, 4, 5]]]}", 400, "wrong_shape", "/instances/1/0");
    expect("{\"instances\": [[[1, 2], []]]}", 400, "wrong_shape", "/instances/0/1");
    expect("{\"instances\": [[[1, 2], 3]]}", 400, "wrong_shape", "/instances/0/1");
    expect("{\"instances\": [[[1, [2]]]]}", 400, "wrong_shape", "/instances/0/0/1");
    expect("{\"instances\": 5}", 400, "wrong_type", "/instances");
    expect("{\"instances\": {\"a\": 1}}", 400, "wrong_type", "/instances");
}

static void wrong_elements_are_placed(void **state)
{
    (void)state;
    expect("{\"instances\": [[[1, \"2\"]]]}", 400, "wrong_type", "/instances/0/0/1");
    expect("{\"instances\": [[[1, true]]]}", 400, "wrong_type", "/instances/0/0/1");
    expect("{\"instances\": [[[null, 1]]]}", 400, "wrong_type", "/instances/0/0/0");
    expect("{\"instances\": [[[1, {}]]]}", 400, "wrong_type", "/instances/0/0/1");
    expect("{\"instances\": [[[1, 1e39]]]}", 400, "number_out_of_range", "/instances/0/0/1");
    expect("{\"instances\": [[[1, -1e999999999999]]]}", 400, "number_out_of_range", "/instances/0/0/1");
    expect("{\"instances\": [[[1, 3.4028236e38]]]}", 400, "number_out_of_range", "/instances/0/0/1");
}

static void masks_are_checked(void **state)
{
    (void)state;
    expect("{\"instances\": [[[1, 2]]], \"mask\": [[true, true]]}", 400, "wrong_shape", "/mask/0");
    expect("{\"instances\": [[[1, 2]]], \"mask\": [[true], [true]]}", 400, "wrong_shape", "/mask");
    expect("{\"instances\": [[[1, 2]]], \"mask\": [[]]}", 400, "wrong_shape", "/mask/0");
    expect("{\"instances\": [[[1, 2]]], \"mask\": [true]}", 400, "wrong_shape", "/mask");
    expect("{\"instances\": [[[1, 2]]], \"mask\": [[2]]}", 400, "wrong_type", "/mask/0/0");
    expect("{\"instances\": [[[1, 2]]], \"mask\": [[\"yes\"]]}", 400, "wrong_type", "/mask/0/0");
    expect("{\"instances\": [[[1, 2]]], \"mask\": [[[true]]]}", 400, "wrong_shape", "/mask/0");
}

static void initial_states_are_checked(void **state)
{
    (void)state;
    expect("{\"instances\": [[[1, 2]]], \"initial_state\": []}", 400, "wrong_shape", "/initial_state");
    expect("{\"instances\": [[[1, 2]]], \"initial_state\": [[[[1, 2, 3]]]]}", 400, "wrong_shape", "/initial_state/0");
    expect("{\"instances\": [[[1, 2]]], \"initial_state\": [[[[1, 2, 3]], [[1, 2]]]]}", 400, "wrong_shape",
           "/initial_state/0/1/0");
    expect("{\"instances\": [[[1, 2]]], \"initial_state\": [[[[1, 2, 3], [1, 2, 3]], [[1, 2, 3]]]]}", 400,
           "wrong_shape", "/initial_state/0/0");
    expect("{\"instances\": [[[1, 2]]], \"initial_state\": [[1, 2, 3]]}", 400, "wrong_shape", "/initial_state/0");
    expect("{\"instances\": [[[1, 2]]], \"initial_state\": \"zeros\"}", 400, "wrong_type", "/initial_state");
    expect("{\"instances\": [[[1, 2]]], \"initial_state\": [[[[[1, 2, 3]]], [[[1, 2, 3]]]]]}", 400, "wrong_shape",
           "/initial_state/0/0/0");
}

static void other_keys_are_checked(void **state)
{
    (void)state;
    expect("{\"instances\": [[[1, 2]]], \"return_sequences\": 1}", 400, "wrong_type", "/return_sequences");
    expect("{\"instances\": [[[1, 2]]], \"return_state\": \"true\"}", 400, "wrong_type", "/return_state");
    expect("{\"instances\": [[[1, 2]]], \"model\": \"other\"}", 404, "model_not_found", "/model");
    expect("{\"instances\": [[[1, 2]]], \"session\": \"a/b\"}", 400, "invalid_session", "/session");
    struct reply null = http_post(&server, "/predict", "{\"instances\": [[[1, 2]]], \"session\": null}");
    assert_int_equal(null.status, 200);
    reply_free(&null);
    static const char *const bodies[] = {"{\"batch_size\": -1}", "{\"batch_size\": 1.5}", "{\"batch_size\": \"3\"}",
                                         "{\"batch_size\": 1e3}", "{\"batch_size\": [3]}"};
    for (size_t i = 0; i < 5; i++) {
        struct reply reply = http_post(&server, "/v1/models/m:initial_state", bodies[i]);
        assert_error(&reply, 400, "wrong_type", "/batch_size");
        reply_free(&reply);
    }
    struct reply reply = http_post(&server, "/v1/models/m:initial_state", "{}");
    assert_error(&reply, 400, "missing_key", NULL);
    reply_free(&reply);
    reply = http_post(&server, "/v1/models/m:initial_state", "{\"batch_size\": 0}");
    assert_error(&reply, 400, "empty_input", "/batch_size");
    reply_free(&reply);
    reply = http_post(&server, "/v1/models/m:step", "{\"inputs\": [[1, 2], [3]]}");
    assert_error(&reply, 400, "wrong_shape", "/inputs/1");
    reply_free(&reply);
    reply = http_post(&server, "/v1/models/m:step", "{\"inputs\": [[[1, 2]]]}");
    assert_error(&reply, 400, "wrong_shape", "/inputs/0");
    reply_free(&reply);
}

static void random_damage_never_breaks_the_server(void **state)
{
    (void)state;
    static const char good[] =
        "{\"model\": \"m\", \"instances\": [[[1.5, -2e3], [0.25, 1]]], \"mask\": [[true, 0]], \"initial_state\": "
        "[[[[0.1, 0.2, 0.3]], [[1, 2, 3]]]], \"return_sequences\": true}";
    unsigned seed = 12345;
    for (int i = 0; i < (SANITIZED ? 500 : 3000); i++) {
        char body[sizeof good];
        memcpy(body, good, sizeof good);
        for (int k = 0; k < 1 + i % 4; k++) {
            seed = seed * 1664525u + 1013904223u;
            size_t at = (seed >> 8) % (sizeof good - 1);
            seed = seed * 1664525u + 1013904223u;
            body[at] = (char)(1 + (seed >> 8) % 255);
        }
        struct reply reply = http_post(&server, "/predict", body);
        if (reply.status != 200 && reply.status != 400 && reply.status != 404)
            fail_msg("status %ld for %s", reply.status, body);
        if (!reply.json && reply.status != 200)
            fail_msg("the error for %s is no JSON: %s", body, reply.body);
        reply_free(&reply);
    }
}

static int start(void **state)
{
    (void)state;
    daemon_start(&server, small_config(2, 3, ", \"log\": {\"level\": \"warn\"}"), NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return daemon_stop(&server, SIGINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_that_are_not_json_are_invalid_json),
        cmocka_unit_test(first_syntax_error_has_line_and_column),
        cmocka_unit_test(valid_json_is_never_called_invalid),
        cmocka_unit_test(nearest_key_is_named),
        cmocka_unit_test(long_names_are_cut_between_characters),
        cmocka_unit_test(deep_nesting_does_not_crash),
        cmocka_unit_test(wrong_shapes_are_placed),
        cmocka_unit_test(wrong_elements_are_placed),
        cmocka_unit_test(masks_are_checked),
        cmocka_unit_test(initial_states_are_checked),
        cmocka_unit_test(other_keys_are_checked),
        cmocka_unit_test(random_damage_never_breaks_the_server),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
