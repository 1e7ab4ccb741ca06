/* Roll-outs give the same results as a client that sends every output back as the next input. */
#include "e2e.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>

static const char models[] =
    "{\"models\": ["
    "{\"name\": \"forecast\", \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": [{\"class_name\": "
    "\"InputLayer\", \"config\": {\"batch_input_shape\": [null, null, 2]}}, {\"class_name\": \"LSTM\", \"config\": "
    "{\"units\": 6}}, {\"class_name\": \"Dense\", \"config\": {\"units\": 2}}]}}},"
    "{\"name\": \"each\", \"input_size\": 3, \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 3, "
    "\"return_sequences\": true}}},"
    "{\"name\": \"first\", \"input_size\": 3, \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 3, "
    "\"return_sequences\": true, \"time_major\": true}}},"
    "{\"name\": \"tokens\", \"seed\": 3, \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": "
    "[{\"class_name\": \"Embedding\", \"config\": {\"input_dim\": 7, \"output_dim\": 5, \"batch_input_shape\": [null, "
    "null]}}, {\"class_name\": \"GRU\", \"config\": {\"units\": 8}}, {\"class_name\": \"Dense\", \"config\": "
    "{\"units\": 7, \"activation\": \"softmax\", \"kernel_initializer\": {\"class_name\": \"RandomNormal\", "
    "\"config\": "
    "{\"stddev\": 4}}}}]}}},"
    "{\"name\": \"wide\", \"input_size\": 2, \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 4}}},"
    "{\"name\": \"both\", \"input_size\": 4, \"layer\": {\"class_name\": \"Bidirectional\", \"config\": {\"layer\": "
    "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}}}}]}";

static struct reply predict(const struct daemon *server, const char *body)
{
    struct reply reply = http_post(server, "/predict", body);
    if (reply.status != 200)
        fail_msg("%s: %ld %.300s", body, reply.status, reply.body ? reply.body : "");
    return reply;
}

/* The outputs of a session whose client sends every output as the next input. */
static json_t *by_hand(const struct daemon *server, const char *model, const char *instances, int steps, const char *id)
{
    json_t *all = json_array();
    char body[2048];
    snprintf(body, sizeof body,
             "{\"model\": \"%s\", \"session\": \"%s\", \"return_sequences\": false, \"instances\": %s}", model, id,
             instances);
    for (int i = 0; i < steps; i++) {
        struct reply reply = predict(server, body);
        json_t *outputs = json_object_get(reply.json, "outputs"), *next = json_array(), *row;
        size_t b;
        json_array_foreach(outputs, b, row) {
            if (!i)
                json_array_append_new(all, json_array());
            json_array_append(json_array_get(all, b), row);
            json_array_append_new(next, json_pack("[O]", row));
        }
        char *text = json_dumps(next, JSON_COMPACT);
        snprintf(body, sizeof body,
                 "{\"model\": \"%s\", \"session\": \"%s\", \"return_sequences\": false, \"instances\": %s}", model, id,
                 text);
        free(text);
        json_decref(next);
        reply_free(&reply);
    }
    return all;
}

struct case_of {
    const struct daemon *server;
    const char *model, *instances, *id;
};

static void *compare(void *argument)
{
    const struct case_of *c = argument;
    char body[1024], path[80];
    json_t *want = by_hand(c->server, c->model, c->instances, 24, c->id);
    snprintf(body, sizeof body,
             "{\"model\": \"%s\", \"session\": \"%s-rolled\", \"instances\": %s, \"rollout\": {\"steps\": 24}}",
             c->model, c->id, c->instances);
    struct reply rolled = predict(c->server, body);
    if (!json_equal(want, json_object_get(rolled.json, "outputs")))
        fail_msg("%s: another forecast than by hand: %s", c->id, rolled.body);
    /* the states are those before the last output is fed back */
    snprintf(path, sizeof path, "/sessions/%s", c->id);
    struct reply stored = http_get(c->server, path);
    assert_true(json_equal(json_object_get(stored.json, "states"), json_object_get(rolled.json, "states")));
    reply_free(&stored);
    reply_free(&rolled);
    json_decref(want);
    return NULL;
}

/* Compare several models at the same time, with sequences of several lengths. */
static void outputs_are_the_next_inputs(void **state)
{
    (void)state;
    struct daemon server;
    daemon_start(&server, models, NULL);
    struct case_of cases[] = {
        {&server, "forecast", "[[[1,2],[3,4]]]", "a"},
        {&server, "forecast", "[[[1,2]],[[1,2],[0.5,-1],[2,2]],[[9,9]]]", "b"},
        {&server, "each", "[[[1,2,3],[4,5,6]],[[1,1,1]]]", "c"},
        {&server, "each", "[[[0.1,0.2,0.3]]]", "d"},
    };
    pthread_t threads[4];
    for (size_t i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, compare, &cases[i]);
    for (size_t i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    /* time first: [steps][batch][units] */
    struct reply first =
        predict(&server, "{\"model\": \"first\", \"instances\": [[[1,2,3],[1,1,1]],[[4,5,6],[2,2,2]]], "
                         "\"rollout\": {\"steps\": 3}}");
    json_t *outputs = json_object_get(first.json, "outputs");
    assert_int_equal(json_array_size(outputs), 3);
    assert_int_equal(json_array_size(json_array_get(outputs, 0)), 2);
    reply_free(&first);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* A roll-out in two requests of a session: the input of the second is the last output of the first. */
static void a_session_rolls_on(void **state)
{
    (void)state;
    struct daemon server;
    daemon_start(&server, models, NULL);
    struct reply whole =
        predict(&server, "{\"model\": \"forecast\", \"instances\": [[[1,2]]], \"rollout\": {\"steps\": 5}}");
    struct reply first = predict(&server, "{\"model\": \"forecast\", \"session\": \"s\", \"instances\": [[[1,2]]], "
                                          "\"rollout\": {\"steps\": 3}}");
    json_t *all = json_array_get(json_object_get(whole.json, "outputs"), 0);
    char *last = json_dumps(json_array_get(all, 2), JSON_COMPACT), body[300];
    snprintf(body, sizeof body,
             "{\"model\": \"forecast\", \"session\": \"s\", \"instances\": [[%s]], \"rollout\": {\"steps\": 2}}", last);
    struct reply second = predict(&server, body);
    json_t *rest = json_array_get(json_object_get(second.json, "outputs"), 0);
    for (size_t i = 0; i < 3; i++)
        assert_true(json_equal(json_array_get(all, i),
                               json_array_get(json_array_get(json_object_get(first.json, "outputs"), 0), i)));
    for (size_t i = 0; i < 2; i++)
        assert_true(json_equal(json_array_get(all, 3 + i), json_array_get(rest, i)));
    assert_true(json_equal(json_object_get(whole.json, "states"), json_object_get(second.json, "states")));
    free(last);
    reply_free(&whole);
    reply_free(&first);
    reply_free(&second);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- tokens ---- */

static json_t *tokens(const struct daemon *server, const char *options)
{
    char body[256];
    snprintf(body, sizeof body, "{\"model\": \"tokens\", \"instances\": [[1, 2, 3]], \"rollout\": {%s}}", options);
    struct reply reply = predict(server, body);
    json_t *row = json_incref(json_array_get(json_object_get(reply.json, "outputs"), 0));
    reply_free(&reply);
    return row;
}

static void assert_same_tokens(const struct daemon *server, const char *options, json_t *want, bool same)
{
    json_t *got = tokens(server, options);
    if (json_equal(got, want) != same)
        fail_msg("%s: %s tokens", options, same ? "other" : "the same");
    json_decref(got);
}

static json_t *greedy(const struct daemon *server, int steps)
{
    json_t *all = json_array();
    char body[256] = "{\"model\": \"tokens\", \"session\": \"g\", \"instances\": [[1, 2, 3]]}";
    for (int i = 0; i < steps; i++) {
        struct reply reply = predict(server, body);
        json_t *p = json_array_get(json_object_get(reply.json, "outputs"), 0);
        size_t best = 0;
        for (size_t k = 0; k < json_array_size(p); k++)
            if (json_real_value(json_array_get(p, k)) > json_real_value(json_array_get(p, best)))
                best = k;
        json_array_append_new(all, json_integer((json_int_t)best));
        snprintf(body, sizeof body, "{\"model\": \"tokens\", \"session\": \"g\", \"instances\": [[%zu]]}", best);
        reply_free(&reply);
    }
    return all;
}

static void tokens_are_sampled(void **state)
{
    (void)state;
    struct daemon server;
    daemon_start(&server, models, NULL);
    json_t *best = greedy(&server, 20), *some = tokens(&server, "\"steps\": 20, \"seed\": 1");
    assert_int_equal(json_array_size(some), 20);
    for (size_t i = 0; i < 20; i++)
        assert_true(json_is_integer(json_array_get(some, i)) && json_integer_value(json_array_get(some, i)) < 7);
    assert_same_tokens(&server, "\"steps\": 20, \"temperature\": 0", best, true);
    assert_same_tokens(&server, "\"steps\": 20, \"top_k\": 1, \"seed\": 9", best, true);
    assert_same_tokens(&server, "\"steps\": 20, \"temperature\": 0.001, \"seed\": 9", best, true);
    assert_same_tokens(&server, "\"steps\": 20, \"seed\": 1", some, true);
    assert_same_tokens(&server, "\"steps\": 20, \"seed\": 1, \"temperature\": 1, \"top_k\": 7", some, true);
    assert_same_tokens(&server, "\"steps\": 20, \"seed\": 2", some, false);
    assert_same_tokens(&server, "\"steps\": 20", some, false); /* without a seed, the server chooses one */
    json_decref(best);
    json_decref(some);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* The frequencies of first tokens follow the model's probabilities, the temperature and top_k. */
static void tokens_have_their_probabilities(void **state)
{
    (void)state;
    struct daemon server;
    enum { DRAWS = SANITIZED ? 700 : 4000, VOCABULARY = 7 };
    static const struct {
        const char *options;
        double temperature;
        size_t top_k;
    } rows[] = {{"", 1, 7}, {"\"temperature\": 2.5,", 2.5, 7}, {"\"temperature\": 1.5, \"top_k\": 3,", 1.5, 3}};
    daemon_start(&server, models, NULL);
    struct reply reply = predict(&server, "{\"model\": \"tokens\", \"instances\": [[1, 2, 3]]}");
    json_t *p = json_array_get(json_object_get(reply.json, "outputs"), 0);
    for (size_t r = 0; r < sizeof rows / sizeof *rows; r++) {
        double weights[VOCABULARY], total = 0;
        size_t counts[VOCABULARY] = {0};
        for (size_t i = 0; i < VOCABULARY; i++) {
            size_t larger = 0;
            for (size_t k = 0; k < VOCABULARY; k++)
                larger += json_real_value(json_array_get(p, k)) > json_real_value(json_array_get(p, i));
            weights[i] =
                larger < rows[r].top_k ? pow(json_real_value(json_array_get(p, i)), 1 / rows[r].temperature) : 0;
            total += weights[i];
        }
        for (int seed = 0; seed < DRAWS; seed++) {
            char options[120];
            snprintf(options, sizeof options, "%s \"steps\": 1, \"seed\": %d", rows[r].options, seed);
            json_t *drawn = tokens(&server, options);
            counts[json_integer_value(json_array_get(drawn, 0))]++;
            json_decref(drawn);
        }
        for (size_t i = 0; i < VOCABULARY; i++) { /* within four standard deviations; seeds are fixed */
            double q = weights[i] / total, deviation = sqrt(DRAWS * q * (1 - q));
            if (fabs((double)counts[i] - DRAWS * q) > 4 * deviation + 1e-9)
                fail_msg("row %zu, token %zu: %zu times, expected %.1f +- %.1f", r, i, counts[i], DRAWS * q, deviation);
        }
    }
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void invalid_rollouts_are_refused(void **state)
{
    (void)state;
    struct daemon server;
    daemon_start(&server, models, NULL);
    static const struct {
        const char *model, *instances, *rollout;
        long status;
        const char *code, *path;
    } rows[] = {
        {"forecast", "[[[1,2]]]", "{\"steps\": 0}", 400, "empty_input", "/rollout/steps"},
        {"forecast", "[[[1,2]]]", "{\"steps\": 1.5}", 400, "wrong_type", "/rollout/steps"},
        {"forecast", "[[[1,2]]]", "{\"steps\": 100000}", 413, "too_many_timesteps", "/rollout/steps"},
        {"forecast", "[[[1,2]]]", "{\"steps\": 2, \"top_k\": 2}", 400, "wrong_value", "/rollout"},
        {"forecast", "[[[1,2]]]", "{\"seed\": 2}", 400, "missing_key", "/rollout"},
        {"forecast", "[[[1,2]]]", "{\"stepps\": 2}", 400, "unknown_key", "/rollout/stepps"},
        {"forecast", "[[[1,2]]]", "3", 400, "wrong_type", "/rollout"},
        {"forecast", "[[[1,2]]]", "{\"steps\": 2}, \"return_sequences\": true", 400, "wrong_value",
         "/return_sequences"},
        {"wide", "[[[1,2]]]", "{\"steps\": 2}", 400, "wrong_shape", "/rollout"},
        {"both", "[[[1,2,3,4]]]", "{\"steps\": 2}", 400, "not_streamable", "/rollout"},
        {"tokens", "[[1]]", "{\"steps\": 2, \"temperature\": -1}", 400, "wrong_type", "/rollout/temperature"},
        {"tokens", "[[1]]", "{\"steps\": 2, \"temperature\": 1e9}", 400, "wrong_value", "/rollout/temperature"},
        {"tokens", "[[1]]", "{\"steps\": 2, \"top_k\": 0}", 400, "wrong_value", "/rollout/top_k"},
        {"tokens", "[[1]]", "{\"steps\": 2, \"seed\": \"x\"}", 400, "wrong_type", "/rollout/seed"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char body[256];
        snprintf(body, sizeof body, "{\"model\": \"%s\", \"instances\": %s, \"rollout\": %s}", rows[i].model,
                 rows[i].instances, rows[i].rollout);
        assert_predict_error(&server, body, rows[i].status, rows[i].code, rows[i].path);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(outputs_are_the_next_inputs),
                                       cmocka_unit_test(a_session_rolls_on), cmocka_unit_test(tokens_are_sampled),
                                       cmocka_unit_test(tokens_have_their_probabilities),
                                       cmocka_unit_test(invalid_rollouts_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
