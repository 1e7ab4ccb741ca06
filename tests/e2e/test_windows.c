/* Sessions of models with a fixed number of timesteps keep their last timesteps. Each answer equals that for a whole
   window sent explicitly. */
#include "e2e.h"
#include "redis.h"

#include <signal.h>

enum { N = 5, F = 2, ROWS = 3, STEPS = 24 };

/* A model that needs whole sequences, with scalers; a model with sequences as outputs, whose layers give no number of
   timesteps. */
#define MODELS                                                                                                         \
    "\"models\": ["                                                                                                    \
    "{\"name\": \"both\", \"window\": true, \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": "     \
    "[{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": [null, 5, 2]}}, {\"class_name\": "          \
    "\"Bidirectional\", \"config\": {\"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 3}}}}, "            \
    "{\"class_name\": \"Dense\", \"config\": {\"units\": 2}}]}}, \"transform\": {\"missing\": \"last\", "              \
    "\"features\": [\"a\", \"b\"], \"input_scaler\": {\"max_abs\": [4, 2]}, \"output_scaler\": {\"max_abs\": [3, "     \
    "7]}}},"                                                                                                           \
    "{\"name\": \"sequence\", \"window\": 5, \"input_size\": 2, \"layer\": {\"class_name\": \"GRU\", \"config\": "     \
    "{\"units\": 2, \"return_sequences\": true}}},"                                                                    \
    "{\"name\": \"states\", \"input_size\": 2, \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 2}}}]"

static json_t *predict(const struct daemon *server, const json_t *body)
{
    char *text = json_dumps(body, JSON_COMPACT);
    struct reply reply = ask_patiently(server, "POST", "/predict", text);
    if (reply.status != 200)
        fail_msg("%s: %ld %.300s", text, reply.status, reply.body ? reply.body : "");
    free(text);
    json_t *answer = json_incref(reply.json);
    reply_free(&reply);
    return answer;
}

/* Timesteps from `first` up to `end` (exclusive) of a row. */
static json_t *some_steps(int row, int first, int end)
{
    json_t *list = json_array();
    for (int t = first; t < end; t++)
        json_array_append_new(list,
                              json_pack("[f, f]", (row * 31 + t * 17) % 23 / 8. - 1, (row * 7 + t * 5) % 11 / 4. - 1));
    return list;
}

/* Send whole windows explicitly: the last N timesteps up to `end` of each row. Returns the outputs. */
static json_t *by_hand(const struct daemon *server, const char *model, int rows, int end)
{
    json_t *instances = json_array();
    for (int row = 0; row < rows; row++)
        json_array_append_new(instances, some_steps(row, end - N, end));
    json_t *body = json_pack("{s:s, s:o}", "model", model, "instances", instances), *answer = predict(server, body);
    json_t *outputs = json_incref(json_object_get(answer, "outputs"));
    json_decref(body);
    json_decref(answer);
    return outputs;
}

static void check_answer(const struct daemon *server, const char *model, int rows, int end, const json_t *answer)
{
    const json_t *window = json_object_get(answer, "window"), *outputs = json_object_get(answer, "outputs");
    assert_int_equal(json_integer_value(json_object_get(window, "size")), N);
    assert_int_equal(json_array_size(json_object_get(window, "filled")), (size_t)rows);
    for (int row = 0; row < rows; row++) {
        assert_int_equal(json_integer_value(json_array_get(json_object_get(window, "filled"), (size_t)row)),
                         end < N ? end : N);
        if (end < N)
            assert_true(json_is_null(json_array_get(outputs, (size_t)row)));
    }
    if (end < N)
        return;
    json_t *want = by_hand(server, model, rows, end);
    assert_same(want, outputs);
    json_decref(want);
}

/* Each request has a random number of new timesteps; every third one is sent twice with the same "step". */
static void run_session(const struct daemon *server, const char *model, const char *id, int rows, unsigned seed)
{
    for (int at = 0, step = 0; at < STEPS; step++) {
        seed = seed * 1664525u + 1013904223u;
        int end = at + 1 + (int)(seed >> 16) % (seed & 1024 ? 2 : N + 3);
        json_t *instances = json_array();
        for (int row = 0; row < rows; row++)
            json_array_append_new(instances, some_steps(row, at, end));
        json_t *body =
            json_pack("{s:s, s:s, s:o, s:i}", "model", model, "session", id, "instances", instances, "step", step);
        json_t *answer = predict(server, body), *again = step % 3 ? NULL : predict(server, body);
        check_answer(server, model, rows, end, answer);
        if (again)
            assert_same(answer, again);
        json_decref(again);
        json_decref(answer);
        json_decref(body);
        at = end;
    }
}

static void run_all(const struct daemon *server)
{
    char id[24];
    for (unsigned i = 0; i < 8; i++) {
        snprintf(id, sizeof id, "w-%u", i);
        run_session(server, i % 2 ? "sequence" : "both", id, 1 + (int)(i % ROWS), i * 77 + 1);
    }
}

static void answers_are_those_of_whole_windows(void **state)
{
    run_all(*state);
}

static void the_same_in_redis(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    start_with_redis(&server, &redis, MODELS);
    run_all(&server);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

static void missing_values_take_those_that_were_kept(void **state)
{
    const struct daemon *server = *state;
    static const char whole[] = "{\"model\": \"both\", \"instances\": [[[1, 2], [3, 2], [3, 1], [2, 1], [2, 0]]]}";
    json_decref(
        ok(http_post(server, "/predict",
                     "{\"model\": \"both\", \"session\": \"m\", \"instances\": [[[1, 2], [3, null], [3, 1]]]}")));
    json_t *got = ok(http_post(server, "/predict",
                               "{\"model\": \"both\", \"session\": \"m\", \"instances\": [[{\"a\": 2, \"b\": null}, "
                               "{\"b\": 0, \"a\": null}]]}"));
    json_t *want = ok(http_post(server, "/predict", whole));
    assert_same(json_object_get(want, "outputs"), json_object_get(got, "outputs"));
    json_decref(want);
    json_decref(got);
    assert_predict_error(server, "{\"model\": \"both\", \"session\": \"n\", \"instances\": [[[null, 2]]]}", 400,
                         "missing_value", "/instances/0/0/0");
}

/* PUT takes what GET returned, under another name: both sessions then give the same answers. */
static void windows_are_shown_and_set(void **state)
{
    const struct daemon *server = *state;
    json_decref(ok(http_post(server, "/predict",
                             "{\"model\": \"sequence\", \"session\": \"a\", \"instances\": [[[1, 2], "
                             "[3, 4], [5, 6]], [[7, 8], [9, 1], [2, 3]]]}")));
    json_t *shown = ok(http_get(server, "/sessions/a"));
    const json_t *window = json_object_get(shown, "window");
    json_t *want = json_pack("[[[f, f], [f, f], [f, f]], [[f, f], [f, f], [f, f]]]", 1., 2., 3., 4., 5., 6., 7., 8., 9.,
                             1., 2., 3.);
    assert_same(json_object_get(window, "timesteps"), want);
    json_decref(want);
    char *text = json_dumps(shown, 0);
    json_decref(ok(http_request(server, "PUT", "/sessions/b", text, NULL)));
    free(text);
    json_decref(shown);
    for (int i = 0; i < 2; i++) {
        json_t *answers[2];
        for (int k = 0; k < 2; k++) {
            char body[200];
            snprintf(body, sizeof body,
                     "{\"model\": \"sequence\", \"session\": \"%c\", \"instances\": [[[1, 1]], [[%d, 2]]]}", 'a' + k,
                     i);
            answers[k] = ok(http_post(server, "/predict", body));
        }
        assert_same(json_object_get(answers[0], "outputs"), json_object_get(answers[1], "outputs"));
        assert_true(json_is_null(json_array_get(json_object_get(answers[0], "outputs"), 0)) == (i == 0));
        json_decref(answers[0]);
        json_decref(answers[1]);
    }
    struct reply reply = http_request(server, "PUT", "/sessions/b",
                                      "{\"model\": \"sequence\", \"window\": {\"timesteps\": "
                                      "[[[1, 2, 3]]]}}",
                                      NULL);
    assert_error(&reply, 400, "wrong_shape", "/window/timesteps");
    reply_free(&reply);
}

/* The Open Inference Protocol has no null: the answer is 409, and the timesteps are kept. */
static void protocols_without_null_say_so(void **state)
{
    const struct daemon *server = *state;
    for (int t = 0; t < N; t++) {
        char body[300];
        snprintf(
            body, sizeof body,
            "{\"parameters\": {\"sequence_id\": \"oi\"%s}, \"inputs\": [{\"name\": \"inputs\", \"shape\": [1, 1, 2], "
            "\"datatype\": \"FP32\", \"data\": [%d, 1]}]}",
            t ? "" : ", \"sequence_start\": true", t);
        struct reply reply = http_post(server, "/v2/models/both/infer", body);
        if (t < N - 1)
            assert_error(&reply, 409, "window_not_filled", NULL);
        else
            assert_int_equal(reply.status, 200);
        reply_free(&reply);
    }
}

/* "slide": each window of a longer sequence gives the same output as when sent explicitly. */
static void sequences_slide(void **state)
{
    const struct daemon *server = *state;
    static const char *const names[] = {"both", "sequence"};
    for (int m = 0; m < 2; m++) {
        json_t *instances = json_array();
        json_array_append_new(instances, some_steps(0, 0, STEPS));
        json_array_append_new(instances, some_steps(1, 0, N + 2));
        json_t *body = json_pack("{s:s, s:b, s:o}", "model", names[m], "slide", 1, "instances", instances);
        json_t *answer = predict(server, body), *outputs = json_object_get(answer, "outputs");
        assert_int_equal(json_array_size(json_array_get(outputs, 0)), STEPS - N + 1);
        assert_int_equal(json_array_size(json_array_get(outputs, 1)), 3);
        for (int end = N; end <= STEPS; end++) {
            json_t *want = by_hand(server, names[m], 2, end);
            for (int row = 0; row < (end <= N + 2 ? 2 : 1); row++)
                assert_same(json_array_get(want, (size_t)row),
                            json_array_get(json_array_get(outputs, (size_t)row), (size_t)(end - N)));
            json_decref(want);
        }
        assert_null(json_object_get(answer, "states"));
        json_decref(answer);
        json_decref(body);
    }
    assert_predict_error(server, "{\"model\": \"both\", \"slide\": true, \"instances\": [[[1, 2]]]}", 400,
                         "wrong_shape", "/instances/0");
    assert_predict_error(server, "{\"model\": \"states\", \"slide\": true, \"instances\": [[[1, 2]]]}", 400,
                         "unsupported_key", "/slide");
    assert_predict_error(server,
                         "{\"model\": \"both\", \"slide\": true, \"session\": \"x\", \"instances\": [[[1, 2]]]}", 400,
                         "wrong_value", "/slide");
}

/* A line of /proc/PID/status, in bytes. */
static size_t status_bytes(const struct daemon *server, const char *name)
{
    char path[64], line[256];
    size_t bytes = 0;
    snprintf(path, sizeof path, "/proc/%d/status", server->pid);
    FILE *file = fopen(path, "r");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, name, strlen(name)))
            bytes = (size_t)strtoull(line + strlen(name), NULL, 10) * 1024;
    fclose(file);
    return bytes;
}

static void forget_peak(const struct daemon *server)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/clear_refs", server->pid);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("5", file);
    fclose(file);
}

/* "slide" over a long sequence needs memory only for the windows that are running. */
static void a_long_sequence_takes_little_memory(void **state)
{
    enum { T = SANITIZED ? 6000 : 60000, WIDE = 5, WIDE_N = 60, SHORT = 200, NUMBER_BYTES = 8 };
    (void)state;
    struct daemon server;
    char *body = malloc(200 + (size_t)T * (WIDE * NUMBER_BYTES + 3));
    daemon_start(&server,
                 "{\"models\": [{\"name\": \"long\", \"window\": 60, \"input_size\": 5, \"layer\": {\"class_name\": "
                 "\"Sequential\", \"config\": {\"layers\": [{\"class_name\": \"LSTM\", \"config\": {\"units\": 8, "
                 "\"return_sequences\": true}}, {\"class_name\": \"LSTM\", \"config\": {\"units\": 8}}, "
                 "{\"class_name\": \"Dense\", \"config\": {\"units\": 1}}]}}}]}",
                 NULL);
    for (int timesteps = SHORT; timesteps <= T; timesteps += T - SHORT) {
        size_t used = (size_t)sprintf(body, "{\"slide\": true, \"instances\": [[");
        for (int t = 0; t < timesteps; t++) {
            used += (size_t)sprintf(body + used, t ? ",[" : "[");
            for (int i = 0; i < WIDE; i++)
                used += (size_t)sprintf(body + used, i ? ",%.5f" : "%.5f", (t * 17 + i * 5) % 97 / 97.);
            used += (size_t)sprintf(body + used, "]");
        }
        used += (size_t)sprintf(body + used, "]]}");
        forget_peak(&server);
        size_t before = status_bytes(&server, "VmRSS:");
        struct reply reply = http_post(&server, "/predict", body);
        assert_int_equal(reply.status, 200);
        size_t windows = json_array_size(json_array_get(json_object_get(reply.json, "outputs"), 0));
        assert_int_equal(windows, timesteps - WIDE_N + 1);
        size_t most = status_bytes(&server, "VmHWM:") - before, text = used + reply.bytes;
        size_t numbers = ((size_t)timesteps * WIDE + windows) * sizeof(float);
        if (timesteps == T) {
            printf("%zu bytes beside the text, of which sequence and outputs have %zu\n", most > text ? most - text : 0,
                   numbers);
            if (!SANITIZED)
                assert_true(most < text + 3 * numbers);
        }
        reply_free(&reply);
    }
    free(body);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* "return_windows" gives an output for each new timestep. */
static void sessions_give_an_output_for_each_timestep(void **state)
{
    const struct daemon *server = *state;
    json_t *body = json_pack("{s:s, s:s, s:b, s:[o, o]}", "model", "both", "session", "each", "return_windows", 1,
                             "instances", some_steps(0, 0, N + 1), some_steps(1, 0, N + 1));
    json_t *answer = predict(server, body), *outputs = json_object_get(answer, "outputs");
    for (int end = 1; end <= N + 1; end++)
        for (int row = 0; row < 2; row++) {
            const json_t *got = json_array_get(json_array_get(outputs, (size_t)row), (size_t)end - 1);
            json_t *want = end < N ? json_null() : by_hand(server, "both", 2, end);
            assert_same(end < N ? want : json_array_get(want, (size_t)row), got);
            json_decref(want);
        }
    json_decref(answer);
    json_decref(body);
    assert_predict_error(server, "{\"model\": \"states\", \"return_windows\": true, \"instances\": [[[1, 2]]]}", 400,
                         "unsupported_key", "/return_windows");
    const char *const npy[] = {"Accept: application/x-npy", NULL};
    static const char text[] = "{\"model\": \"both\", \"session\": \"npy\", \"return_windows\": true, \"instances\": "
                               "[[[1, 2], [3, 4], [5, 6]]]}";
    struct reply reply = http_request(server, "POST", "/predict", text, npy);
    assert_error(&reply, 409, "window_not_filled", NULL);
    reply_free(&reply);
    reply = http_request(server, "POST", "/predict", text, npy); /* of the three new timesteps, only two have full
                                                                    windows */
    assert_error(&reply, 409, "window_not_filled", NULL);
    reply_free(&reply);
    reply = http_request(server, "POST", "/predict", text, npy);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body + 10, "(1, 3, 2)"));
    reply_free(&reply);
}

static void options_that_exclude_windows_are_refused(void **state)
{
    const struct daemon *server = *state;
    assert_predict_error(server,
                         "{\"model\": \"both\", \"session\": \"r\", \"instances\": [[[1, 2]]], \"mask\": [[true]]}",
                         400, "wrong_value", "/session");
    assert_predict_error(server, "{\"model\": \"both\", \"instances\": [[[1, 2]]]}", 400, "wrong_shape",
                         "/instances/0");
    json_t *answer =
        ok(http_post(server, "/predict", "{\"model\": \"states\", \"session\": \"s\", \"instances\": [[[1, 2]]]}"));
    assert_null(json_object_get(answer, "window"));
    assert_non_null(json_object_get(answer, "states"));
    json_decref(answer);
}

static int start(void **state)
{
    static struct daemon server;
    daemon_start(&server, "{" MODELS "}", NULL);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_are_those_of_whole_windows),
                                       cmocka_unit_test(the_same_in_redis),
                                       cmocka_unit_test(missing_values_take_those_that_were_kept),
                                       cmocka_unit_test(windows_are_shown_and_set),
                                       cmocka_unit_test(protocols_without_null_say_so),
                                       cmocka_unit_test(sequences_slide),
                                       cmocka_unit_test(a_long_sequence_takes_little_memory),
                                       cmocka_unit_test(sessions_give_an_output_for_each_timestep),
                                       cmocka_unit_test(options_that_exclude_windows_are_refused)};
    return cmocka_run_group_tests(tests, start, stop);
}
