/* ONNX models with states as inputs and outputs: sessions, steps and whole sequences. */
#include "e2e.h"

#include <signal.h>
#include <unistd.h>

/* ---- a model by hand: sn = s + x, y = 2 sn ---- */

struct bytes {
    unsigned char at[1024];
    size_t n;
};

/* Append a field of a message: a number, or bytes. All lengths except those of the graph are below 128. */
static void put_length(struct bytes *b, size_t value)
{
    for (; value >= 128; value >>= 7)
        b->at[b->n++] = (unsigned char)(value | 128);
    b->at[b->n++] = (unsigned char)value;
}

static void put_number(struct bytes *b, unsigned field, unsigned value)
{
    b->at[b->n++] = (unsigned char)(field << 3);
    b->at[b->n++] = (unsigned char)value;
}

static void put_bytes(struct bytes *b, unsigned field, const void *data, size_t n)
{
    b->at[b->n++] = (unsigned char)(field << 3 | 2);
    put_length(b, n);
    memcpy(b->at + b->n, data, n);
    b->n += n;
}

static void put_text(struct bytes *b, unsigned field, const char *text)
{
    put_bytes(b, field, text, strlen(text));
}

static void put_inner(struct bytes *b, unsigned field, const struct bytes *inner)
{
    put_bytes(b, field, inner->at, inner->n);
}

static void put_node(struct bytes *graph, const char *op, const char *left, const char *right, const char *out)
{
    struct bytes node = {.n = 0};
    put_text(&node, 1, left);
    put_text(&node, 1, right);
    put_text(&node, 2, out);
    put_text(&node, 4, op);
    put_inner(graph, 1, &node);
}

/* [N, 2] */
static void put_port(struct bytes *graph, unsigned field, const char *name)
{
    struct bytes port = {.n = 0}, type = {.n = 0}, tensor = {.n = 0}, shape = {.n = 0}, open = {.n = 0}, two = {.n = 0};
    put_text(&open, 2, "N");
    put_number(&two, 1, 2);
    put_inner(&shape, 1, &open);
    put_inner(&shape, 1, &two);
    put_number(&tensor, 1, 1);
    put_inner(&tensor, 2, &shape);
    put_inner(&type, 1, &tensor);
    put_text(&port, 1, name);
    put_inner(&port, 2, &type);
    put_inner(graph, field, &port);
}

static void write_sum(const char *path)
{
    struct bytes graph = {.n = 0}, model = {.n = 0}, opset = {.n = 0}, two = {.n = 0};
    const float number = 2;
    put_node(&graph, "Add", "x", "s", "sn");
    put_node(&graph, "Mul", "sn", "two", "y");
    put_number(&two, 2, 1);
    put_text(&two, 8, "two");
    put_bytes(&two, 9, &number, sizeof number);
    put_inner(&graph, 5, &two);
    put_port(&graph, 11, "x");
    put_port(&graph, 11, "s");
    put_port(&graph, 12, "y");
    put_port(&graph, 12, "sn");
    put_number(&opset, 2, 15);
    put_number(&model, 1, 8);
    put_text(&model, 2, "test");
    put_inner(&model, 7, &graph);
    put_inner(&model, 8, &opset);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(model.at, 1, model.n, file), model.n);
    fclose(file);
}

static void start(struct daemon *server, const char *path, const char *states)
{
    char config[1024];
    snprintf(config, sizeof config,
             "{\"models\": [{\"name\": \"m\", \"path\": \"%s\", \"states\": %s, \"default\": true}]}", path, states);
    daemon_start(server, config, NULL);
}

static json_t *outputs_of(const struct daemon *server, const char *body)
{
    json_t *answer = ok(http_post(server, "/predict", body));
    json_t *outputs = json_incref(json_object_get(answer, "outputs"));
    json_decref(answer);
    assert_non_null(outputs);
    return outputs;
}

static void outputs_are(const struct daemon *server, const char *body, const char *expected)
{
    json_t *got = outputs_of(server, body);
    char *text = json_dumps(got, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(got);
}

/* One call of the graph is one timestep. Each row of a request is a separate sequence of any length. */
static void a_graph_runs_once_for_each_timestep(void **state)
{
    static const char path[] = "/tmp/cellserve-onnx-sum.onnx";
    struct daemon server;
    (void)state;
    write_sum(path);
    start(&server, path, "{\"s\": \"sn\"}");
    outputs_are(&server, "{\"instances\": [[[1, 2], [3, 4], [5, 6]], [[10, 20]]]}",
                "[[[2.0,4.0],[8.0,12.0],[18.0,24.0]],[[20.0,40.0]]]");
    outputs_are(&server, "{\"session\": \"a\", \"inputs\": [[[1, 2]]]}", "[[[2.0,4.0]]]");
    outputs_are(&server, "{\"session\": \"b\", \"inputs\": [[[7, 7]]]}", "[[[14.0,14.0]]]");
    outputs_are(&server, "{\"session\": \"a\", \"inputs\": [[[1, 2], [1, 1]]]}", "[[[4.0,8.0],[6.0,10.0]]]");
    outputs_are(&server, "{\"session\": \"b\", \"inputs\": [[[0, 1]]]}", "[[[14.0,16.0]]]");
    json_t *step = ok(http_post(&server, "/v1/models/m:step", "{\"inputs\": [[4, 5]]}"));
    assert_true(json_number_value(json_array_get(json_array_get(json_object_get(step, "outputs"), 0), 1)) == 10);
    json_decref(step);
    assert_predict_error(&server, "{\"inputs\": {\"x\": [[[1, 2]]], \"s\": [[1, 2]]}}", 400, "unknown_key",
                         "/inputs/s");
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    unlink(path);
}

/* More rows than run in one batch: each gives the same outputs as alone. */
static void many_rows_keep_their_states_apart(void **state)
{
    static const char path[] = "/tmp/cellserve-onnx-rows.onnx";
    enum { ROWS = 70 };
    struct daemon server;
    char body[8192] = "{\"instances\": [";
    (void)state;
    for (int i = 0; i < ROWS; i++) {
        size_t n = strlen(body);
        n += (size_t)snprintf(body + n, sizeof body - n, "%s[", i ? ", " : "");
        for (int t = 0; t <= i % 4; t++)
            n += (size_t)snprintf(body + n, sizeof body - n, "%s[%d, 1]", t ? ", " : "", i);
        snprintf(body + n, sizeof body - n, "]");
    }
    snprintf(body + strlen(body), sizeof body - strlen(body), "]}");
    write_sum(path);
    start(&server, path, "{\"s\": \"sn\"}");
    json_t *outputs = outputs_of(&server, body);
    for (int i = 0; i < ROWS; i++)
        for (int t = 0; t <= i % 4; t++) {
            const json_t *given = json_array_get(json_array_get(outputs, (size_t)i), (size_t)t);
            assert_true(json_number_value(json_array_get(given, 0)) == 2 * i * (t + 1));
            assert_true(json_number_value(json_array_get(given, 1)) == 2 * (t + 1));
        }
    json_decref(outputs);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    unlink(path);
}

/* The state of an LSTM node is the state of the layer: a sequence in two parts gives the same outputs as the whole. */
static void a_recurrent_node_carries_its_state_itself(void **state)
{
    struct daemon server;
    (void)state;
    start(&server, SOURCE_DIR "/tests/fixtures/onnx/hand_states.onnx", "{\"state\": \"stateN\"}");
    json_t *whole = outputs_of(&server, "{\"inputs\": [[[1, 2, 3], [4, 5, 6], [-1, 0, 1], [0.5, 2, 1], [3, 1, 2]]]}");
    json_t *first = outputs_of(&server, "{\"session\": \"a\", \"inputs\": [[[1, 2, 3], [4, 5, 6]]]}");
    json_t *second = outputs_of(&server, "{\"session\": \"a\", \"inputs\": [[[-1, 0, 1], [0.5, 2, 1], [3, 1, 2]]]}");
    json_t *joined = json_array_get(first, 0);
    json_array_extend(joined, json_array_get(second, 0));
    assert_int_equal(json_array_size(joined), 5);
    assert_true(json_equal(joined, json_array_get(whole, 0)));
    json_decref(whole);
    json_decref(first);
    json_decref(second);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_graph_runs_once_for_each_timestep),
                                       cmocka_unit_test(many_rows_keep_their_states_apart),
                                       cmocka_unit_test(a_recurrent_node_carries_its_state_itself)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
