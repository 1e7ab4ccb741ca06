/* Models with several named inputs and outputs, over every protocol: answers equal those of Keras. */
#include "e2e.h"

#include <math.h>
#include <signal.h>

#define GRAPHS SOURCE_DIR "/tests/fixtures/graph/"

static struct daemon server;
static json_t *both, *outputs_alone, *frames; /* golden cases: two inputs and two outputs; two outputs; images */

static int start(void **state)
{
    (void)state;
    daemon_start(&server,
                 "{\"models\": [{\"name\": \"both\", \"path\": \"" GRAPHS "keras3_two_inputs_two_outputs.keras\"},"
                 "{\"name\": \"outputs\", \"path\": \"" GRAPHS "keras3_two_outputs.keras\"},"
                 "{\"name\": \"frames\", \"path\": \"" GRAPHS "keras2_frames_cnn_lstm.keras\"},"
                 "{\"name\": \"causal\", \"path\": \"" SOURCE_DIR "/tests/e2e/data/causal.json\", \"seed\": 3},"
                 "{\"name\": \"branches\", \"path\": \"" SOURCE_DIR "/tests/e2e/data/branches.json\", \"seed\": 3}]}",
                 NULL);
    both = json_load_file(GRAPHS "keras3_two_inputs_two_outputs.json", 0, NULL);
    outputs_alone = json_load_file(GRAPHS "keras3_two_outputs.json", 0, NULL);
    frames = json_load_file(GRAPHS "keras2_frames_cnn_lstm.json", 0, NULL);
    return !both || !outputs_alone || !frames;
}

static int stop(void **state)
{
    (void)state;
    json_decref(both);
    json_decref(outputs_alone);
    json_decref(frames);
    return daemon_stop(&server, SIGINT);
}

static json_t *inputs_of(const json_t *golden)
{
    const json_t *request = json_object_get(golden, "request");
    json_t *inputs = json_object_get(request, "inputs");
    return inputs ? inputs : json_object_get(request, "instances");
}

/* Compare the numbers of two lists within 1e-5; the nesting may differ. */
static const json_t *next_number(const json_t *list, size_t *i)
{
    if (json_is_number(list))
        return (*i)-- == 0 ? list : NULL;
    for (size_t k = 0; k < json_array_size(list); k++) {
        const json_t *found = next_number(json_array_get(list, k), i);
        if (found)
            return found;
    }
    return NULL;
}

static void assert_close(const json_t *got, const json_t *want)
{
    for (size_t i = 0;; i++) {
        size_t left = i, other = i;
        const json_t *a = next_number(got, &left), *b = next_number(want, &other);
        assert_int_equal(a != NULL, b != NULL);
        if (!a) {
            assert_true(i > 0);
            return;
        }
        if (fabs(json_number_value(a) - json_number_value(b)) > 1e-5)
            fail_msg("number %zu is %g, expected %g", i, json_number_value(a), json_number_value(b));
    }
}

/* Compare every output by its name. */
static void assert_outputs(const json_t *got, const json_t *golden)
{
    const char *name;
    json_t *want, *all = json_object_get(golden, "outputs_f64");
    assert_int_equal(json_object_size(got), json_object_size(all));
    json_object_foreach(all, name, want)
        assert_close(json_object_get(got, name), want);
}

/* POST an object, release it, expect the status, and return the answer. */
static json_t *post(const char *path, json_t *body, long status)
{
    char *text = json_dumps(body, 0);
    struct reply reply = http_post(&server, path, text);
    if (reply.status != status)
        fail_msg("%s: %ld %s", path, reply.status, reply.body);
    json_t *answer = json_incref(reply.json);
    reply_free(&reply);
    free(text);
    json_decref(body);
    return answer;
}

/* Convert {"a": […], "b": […]} to [{"a": …, "b": …}, …]. */
static json_t *rows_of(json_t *inputs)
{
    const char *name;
    json_t *tensor, *rows = json_array();
    json_object_foreach(inputs, name, tensor) {
        for (size_t b = 0; b < json_array_size(tensor); b++) {
            if (b == json_array_size(rows))
                json_array_append_new(rows, json_object());
            json_object_set(json_array_get(rows, b), name, json_array_get(tensor, b));
        }
    }
    return rows;
}

static void tensorflow_serving_takes_columns_and_rows(void **state)
{
    (void)state;
    json_t *columns = post("/v1/models/both:predict", json_pack("{s:O}", "inputs", inputs_of(both)), 200);
    assert_outputs(json_object_get(columns, "outputs"), both);
    json_t *rows = post("/v1/models/both:predict", json_pack("{s:o}", "instances", rows_of(inputs_of(both))), 200);
    const json_t *predictions = json_object_get(rows, "predictions");
    assert_int_equal(json_array_size(predictions), 2);
    for (size_t b = 0; b < 2; b++) {
        const char *name;
        json_t *want;
        assert_int_equal(json_object_size(json_array_get(predictions, b)), 2);
        json_object_foreach(json_object_get(both, "outputs_f64"), name, want)
            assert_close(json_object_get(json_array_get(predictions, b), name), json_array_get(want, b));
    }
    json_decref(columns);
    json_decref(rows);
}

/* An input of the Open Inference Protocol, with the shape of its nested lists. */
static json_t *tensor(const char *name, json_t *data)
{
    json_t *shape = json_array();
    for (const json_t *list = data; json_is_array(list); list = json_array_get(list, 0))
        json_array_append_new(shape, json_integer((json_int_t)json_array_size(list)));
    return json_pack("{s:s, s:s, s:o, s:O}", "name", name, "datatype", "FP32", "shape", shape, "data", data);
}

static json_t *tensors_of(json_t *inputs)
{
    const char *name;
    json_t *value, *list = json_array();
    json_object_foreach(inputs, name, value)
        json_array_insert_new(list, 0, tensor(name, value)); /* in any order */
    return list;
}

/* The outputs of an answer as {"name": data, …}. */
static json_t *by_name(const json_t *answer)
{
    json_t *all = json_object(), *output;
    size_t i;
    json_array_foreach(json_object_get(answer, "outputs"), i, output)
        json_object_set(all, json_string_value(json_object_get(output, "name")), json_object_get(output, "data"));
    return all;
}

static void open_inference_takes_inputs_by_name(void **state)
{
    (void)state;
    json_t *answer = post("/v2/models/both/infer", json_pack("{s:o}", "inputs", tensors_of(inputs_of(both))), 200);
    json_t *got = by_name(answer);
    assert_outputs(got, both);
    json_decref(got);
    json_decref(answer);
    /* one of the outputs, and a state */
    answer = post("/v2/models/both/infer",
                  json_pack("{s:o, s:[{s:s}, {s:s}]}", "inputs", tensors_of(inputs_of(both)), "outputs", "name", "q",
                            "name", "state.2.h"),
                  200);
    got = by_name(answer);
    assert_int_equal(json_object_size(got), 2);
    assert_close(json_object_get(got, "q"), json_object_get(json_object_get(both, "outputs_f64"), "q"));
    assert_int_equal(json_array_size(json_object_get(got, "state.2.h")), 4);
    json_decref(got);
    json_decref(answer);
}

static void open_inference_takes_one_input_under_both_names(void **state)
{
    (void)state;
    static const char *const names[] = {"inputs", "x"};
    for (size_t i = 0; i < 2; i++) {
        json_t *answer = post("/v2/models/outputs/infer",
                              json_pack("{s:[o]}", "inputs", tensor(names[i], inputs_of(outputs_alone))), 200);
        json_t *got = by_name(answer);
        assert_outputs(got, outputs_alone);
        json_decref(got);
        json_decref(answer);
    }
}

static void open_inference_takes_images(void **state)
{
    (void)state;
    json_t *x = inputs_of(frames), *want = json_object_get(frames, "outputs_f64");
    if (json_is_object(x))
        x = json_object_iter_value(json_object_iter(x));
    if (json_is_object(want))
        want = json_object_iter_value(json_object_iter(want));
    struct reply about = http_get(&server, "/v2/models/frames");
    const json_t *input = json_array_get(json_object_get(about.json, "inputs"), 0);
    assert_int_equal(json_array_size(json_object_get(input, "shape")), 5);
    json_t *answer = post("/v2/models/frames/infer", json_pack("{s:[o]}", "inputs", tensor("inputs", x)), 200);
    json_t *got = by_name(answer);
    assert_close(json_object_get(got, "outputs"), want);
    json_decref(got);
    json_decref(answer);
    reply_free(&about);
}

static void wrong_sets_of_inputs_are_refused(void **state)
{
    (void)state;
    json_t *a = json_object_get(inputs_of(both), "a"), *b = json_object_get(inputs_of(both), "b");
    const struct {
        json_t *inputs;
        const char *code, *says;
    } rows[] = {
        {json_pack("[o]", tensor("a", a)), "missing_key", "\"b\""},
        {json_pack("[o, o, o]", tensor("a", a), tensor("b", b), tensor("mask", b)), "unknown_input", "\"mask\""},
        {json_pack("[o, o, o]", tensor("a", a), tensor("b", b), tensor("b", b)), "duplicate_key", "\"b\""},
        {json_pack("[o, o]", tensor("a", a), tensor("b", a)), "wrong_shape", ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *answer = post("/v2/models/both/infer", json_pack("{s:o}", "inputs", rows[i].inputs), 400);
        assert_string_equal(json_string_value(json_object_get(answer, "code")), rows[i].code);
        assert_non_null(strstr(json_string_value(json_object_get(answer, "error")), rows[i].says));
        json_decref(answer);
    }
}

/* ---- sessions, steps and streams ---- */

/* Timesteps `first` to `end` - 1 of all rows of all inputs. */
static json_t *part_of(json_t *inputs, size_t first, size_t end)
{
    const char *name;
    json_t *tensor, *row, *part = json_object();
    json_object_foreach(inputs, name, tensor) {
        size_t b;
        json_t *rows = json_array();
        json_array_foreach(tensor, b, row) {
            json_t *steps = json_array();
            for (size_t t = first; t < end && t < json_array_size(row); t++)
                json_array_append(steps, json_array_get(row, t));
            json_array_append_new(rows, steps);
        }
        json_object_set_new(part, name, rows);
    }
    return part;
}

static void sessions_go_on_with_several_inputs(void **state)
{
    (void)state;
    json_decref(post(
        "/predict",
        json_pack("{s:s, s:s, s:o}", "model", "both", "session", "parts", "inputs", part_of(inputs_of(both), 0, 2)),
        200));
    json_t *last = post(
        "/predict",
        json_pack("{s:s, s:s, s:o}", "model", "both", "session", "parts", "inputs", part_of(inputs_of(both), 2, 5)),
        200);
    assert_int_equal(json_integer_value(json_object_get(last, "step")), 2);
    assert_outputs(json_object_get(last, "outputs"), both);
    json_decref(last);
}

enum { STEPS = 40, ROWS = 2 };

/* Input sequences of the causal model. Its output "a" has a vector for each timestep of both inputs, "b" depends on the
   second input and has one vector. */
static json_t *sequences(void)
{
    json_t *x = json_array(), *y = json_array();
    for (int b = 0; b < ROWS; b++) {
        json_t *of_x = json_array(), *of_y = json_array();
        for (int t = 0; t < STEPS; t++) {
            json_array_append_new(of_x, json_pack("[f, f]", sin(t + b), cos(2 * t - b)));
            json_array_append_new(of_y, json_pack("[f]", sin(3 * t + b)));
        }
        json_array_append_new(x, of_x);
        json_array_append_new(y, of_y);
    }
    return json_pack("{s:o, s:o}", "x", x, "y", y);
}

/* Timestep t of all rows of all inputs, in the form of :step. */
static json_t *step_of(json_t *inputs, size_t t)
{
    const char *name;
    json_t *tensor, *row, *step = json_object();
    json_object_foreach(inputs, name, tensor) {
        size_t b;
        json_t *rows = json_array();
        json_array_foreach(tensor, b, row)
            json_array_append(rows, json_array_get(row, t));
        json_object_set_new(step, name, rows);
    }
    return step;
}

static json_t *whole_answer(json_t *inputs)
{
    return post("/predict", json_pack("{s:s, s:O}", "model", "causal", "inputs", inputs), 200);
}

static void steps_give_the_same_as_the_whole(void **state)
{
    (void)state;
    json_t *inputs = sequences(), *whole = whole_answer(inputs), *states = NULL,
           *outputs = json_object_get(whole, "outputs");
    for (size_t t = 0; t < STEPS; t++) {
        json_t *body = json_pack("{s:o}", "inputs", step_of(inputs, t));
        if (states)
            json_object_set_new(body, "states", states);
        json_t *answer = post("/v1/models/causal:step", body, 200), *got = json_object_get(answer, "outputs");
        for (size_t b = 0; b < ROWS; b++)
            assert_same(json_array_get(json_object_get(got, "a"), b),
                        json_array_get(json_array_get(json_object_get(outputs, "a"), b), t));
        if (t + 1 == STEPS)
            assert_same(json_object_get(got, "b"), json_object_get(outputs, "b"));
        states = json_incref(json_object_get(answer, "states"));
        json_decref(answer);
    }
    assert_same(states, json_object_get(whole, "states"));
    json_decref(states);
    json_decref(whole);
    json_decref(inputs);
}

/* Join the events of a stream of the causal model: {"a": [B][T][2], "b": [B][2]}. */
static json_t *streamed(json_t *body, size_t *events)
{
    static const char *const headers[] = {"Accept: application/x-ndjson", "Content-Type: application/json", NULL};
    char *text = json_dumps(body, 0);
    struct reply reply = http_request(&server, "POST", "/predict", text, headers);
    assert_int_equal(reply.status, 200);
    json_t *all = json_pack("{s:[[], []], s:[n, n]}", "a", "b");
    *events = 0;
    for (char *line = strtok(reply.body, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *event = json_loads(line, 0, NULL), *outputs = json_object_get(event, "outputs");
        size_t b = (size_t)json_integer_value(json_object_get(event, "row"));
        assert_null(json_object_get(event, "error"));
        if (outputs) {
            json_t *rows = json_array_get(json_object_get(all, "a"), b);
            assert_int_equal(json_integer_value(json_object_get(event, "timestep")), json_array_size(rows));
            json_array_extend(rows, json_object_get(outputs, "a"));
            if (json_object_get(outputs, "b"))
                json_array_set(json_object_get(all, "b"), b, json_array_get(json_object_get(outputs, "b"), 0));
            ++*events;
        }
        json_decref(event);
    }
    reply_free(&reply);
    free(text);
    json_decref(body);
    return all;
}

static void streams_give_the_same_as_the_whole(void **state)
{
    (void)state;
    json_t *inputs = sequences(), *whole = whole_answer(inputs);
    size_t events;
    json_t *got = streamed(json_pack("{s:s, s:O}", "model", "causal", "inputs", inputs), &events);
    assert_same(got, json_object_get(whole, "outputs"));
    assert_true(events > 2);
    json_decref(got);
    for (int again = 0; again < 2; again++) { /* the second answer is the stored one */
        got = streamed(
            json_pack("{s:s, s:O, s:s, s:i}", "model", "causal", "inputs", inputs, "session", "streamed", "step", 0),
            &events);
        assert_same(got, json_object_get(whole, "outputs"));
        json_decref(got);
    }
    json_decref(whole);
    json_decref(inputs);
}

static void invalid_requests_with_several_inputs_are_refused(void **state)
{
    (void)state;
    static const char *const headers[] = {"Accept: text/event-stream", "Content-Type: application/json", NULL};
    struct reply reply =
        http_request(&server, "POST", "/predict",
                     "{\"model\": \"causal\", \"inputs\": {\"x\": [[[1, 2], [3, 4]]], \"y\": [[[1]]]}}", headers);
    assert_error(&reply, 400, "wrong_shape", NULL);
    reply_free(&reply);
    assert_predict_error(
        &server,
        "{\"model\": \"causal\", \"inputs\": {\"x\": [[[1, 2]]], \"y\": [[[1]]]}, \"rollout\": {\"steps\": 3}}", 400,
        "not_streamable", "/rollout");
    assert_predict_error(&server, "{\"model\": \"causal\", \"inputs\": {\"x\": [[[NaN, 2]]], \"y\": [[[1]]]}}", 400,
                         "invalid_json", NULL);
    assert_predict_error(&server,
                         "{\"model\": \"causal\", \"inputs\": {\"x\": [[[1, 2]]], \"y\": [[[1]]]}, \"reset\": 7}", 400,
                         "wrong_type", "/reset");
    assert_predict_error(&server, "{\"model\": \"none\", \"inputs\": {\"x\": [[[1, 2]]], \"y\": [[[1]]]}}", 404,
                         "model_not_found", "/model");
    assert_predict_error(&server, "{\"model\": \"outputs\", \"instances\": [[[1, 2, 3]]], \"rollout\": {\"steps\": 3}}",
                         400, "not_streamable", "/rollout");
}

/* The output comes from two recurrent layers, and is always a sequence. */
static void a_roll_out_takes_the_last_of_a_sequence(void **state)
{
    (void)state;
    static const char *const headers[] = {"Accept: application/x-ndjson", "Content-Type: application/json", NULL};
    json_t *inputs = sequences(), *row = json_incref(json_array_get(json_object_get(inputs, "x"), 0));
    json_decref(inputs);
    json_t *body = json_pack("{s:s, s:[O], s:{s:i}}", "model", "branches", "instances", row, "rollout", "steps", 3);
    char *text = json_dumps(body, 0);
    json_t *answer = post("/predict", body, 200);
    const json_t *rolled = json_array_get(json_object_get(answer, "outputs"), 0);
    assert_int_equal(json_array_size(rolled), 3);
    json_t *grown = json_copy(row);
    for (size_t i = 0; i < 3; i++) {
        json_t *next = post("/predict", json_pack("{s:s, s:[O]}", "model", "branches", "instances", grown), 200);
        json_t *outputs = json_array_get(json_object_get(next, "outputs"), 0);
        assert_int_equal(json_array_size(outputs), STEPS + i);
        assert_same(json_array_get(outputs, STEPS + i - 1), json_array_get(rolled, i));
        json_array_append(grown, json_array_get(rolled, i));
        json_decref(next);
    }
    /* as a stream: an event for each step */
    struct reply reply = http_request(&server, "POST", "/predict", text, headers);
    size_t i = 0;
    for (char *line = strtok(reply.body, "\n"); line && i < 3; line = strtok(NULL, "\n"), i++) {
        json_t *event = json_loads(line, 0, NULL);
        assert_same(json_array_get(json_object_get(event, "outputs"), 0), json_array_get(rolled, i));
        json_decref(event);
    }
    assert_int_equal(i, 3);
    reply_free(&reply);
    free(text);
    json_decref(grown);
    json_decref(row);
    json_decref(answer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensorflow_serving_takes_columns_and_rows),
        cmocka_unit_test(open_inference_takes_inputs_by_name),
        cmocka_unit_test(open_inference_takes_one_input_under_both_names),
        cmocka_unit_test(open_inference_takes_images),
        cmocka_unit_test(wrong_sets_of_inputs_are_refused),
        cmocka_unit_test(sessions_go_on_with_several_inputs),
        cmocka_unit_test(steps_give_the_same_as_the_whole),
        cmocka_unit_test(streams_give_the_same_as_the_whole),
        cmocka_unit_test(invalid_requests_with_several_inputs_are_refused),
        cmocka_unit_test(a_roll_out_takes_the_last_of_a_sequence),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
