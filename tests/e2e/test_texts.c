/* Models with layers that take texts (TextVectorization, StringLookup): answers equal those of Keras
   (tools/reference/texts.py). */
#include "e2e.h"

#include <math.h>
#include <signal.h>

#define FOLDER "tests/fixtures/texts"

static const char *const cases[] = {"vectorization", "open",       "characters", "as_written",     "strip",
                                    "whole",         "functional", "lookup",     "adapted_lookup", "no_unknown"};
enum { CASES = sizeof cases / sizeof *cases };

static int start(void **state)
{
    static struct daemon server;
    json_t *models = json_array();
    for (int keras = 2; keras <= 3; keras++)
        for (int i = 0; i < CASES; i++) {
            char name[40], path[400];
            snprintf(name, sizeof name, "keras%d_%s", keras, cases[i]);
            snprintf(path, sizeof path, "%s/" FOLDER "/%s.keras", SOURCE_DIR, name);
            json_array_append_new(models, json_pack("{s:s, s:s}", "name", name, "path", path));
        }
    json_array_append_new(
        models, json_pack("{s:s, s:s}", "name", "language", "path", SOURCE_DIR "/demo/language/language.keras"));
    json_t *config = json_pack("{s:o}", "models", models);
    char *text = json_dumps(config, 0);
    daemon_start(&server, text, NULL);
    free(text);
    json_decref(config);
    *state = &server;
    return 0;
}

static int stop(void **state)
{
    assert_int_equal(daemon_stop(*state, SIGINT), 0);
    return 0;
}

static void answers_are_those_of_keras(void **state)
{
    for (int keras = 2; keras <= 3; keras++)
        for (int i = 0; i < CASES; i++) {
            char name[40], path[100];
            snprintf(name, sizeof name, "keras%d_%s", keras, cases[i]);
            snprintf(path, sizeof path, FOLDER "/%s.json", name);
            char *text = read_source_file(path);
            json_t *one = json_loads(text, 0, NULL), *row;
            json_t *body = json_pack("{s:s, s:O}", "model", name, "instances", json_object_get(one, "instances"));
            char *sent = json_dumps(body, 0);
            json_t *answer = ok(http_post(*state, "/predict", sent)), *outputs = json_object_get(answer, "outputs");
            size_t b;
            assert_true(json_array_size(outputs) > 1);
            json_array_foreach(json_object_get(one, "outputs"), b, row)
                for (size_t k = 0; k < json_array_size(row); k++) {
                    double want = json_real_value(json_array_get(row, k));
                    double got = json_real_value(json_array_get(json_array_get(outputs, b), k));
                    if (!(fabs(got - want) <= 1e-6))
                        fail_msg("%s, row %zu: %.9g, Keras %.9g", name, b, got, want);
                }
            json_decref(answer);
            json_decref(body);
            json_decref(one);
            free(sent);
            free(text);
        }
}

static void words_that_are_not_known_are_refused_where_keras_does(void **state)
{
    assert_predict_error(*state, "{\"model\": \"keras3_no_unknown\", \"instances\": [[\"run\", \"fly\"]]}", 400,
                         "wrong_value", "/instances/0/1");
    assert_predict_error(*state, "{\"model\": \"keras3_lookup\", \"instances\": [[\"run\", {}]]}", 400, "wrong_type",
                         "/instances/0/1");
}

/* Texts in the form of each protocol, and ids instead of texts with "raw". */
static void texts_go_by_every_protocol(void **state)
{
    static const char ids[] =
        "{\"model\": \"keras3_vectorization\", \"raw\": true, \"instances\": [[3, 4, 3, 10, 1, 1]]}";
    json_t *want = ok(http_post(*state, "/predict",
                                "{\"model\": \"keras3_vectorization\", \"instances\": [\"the cat, the dog: UNSEEN "
                                "words\"]}"));
    json_t *by_id = ok(http_post(*state, "/predict", ids));
    assert_non_null(json_object_get(by_id, "outputs"));
    json_t *served = ok(http_post(*state, "/v1/models/keras3_vectorization:predict",
                                  "{\"instances\": [\"the cat, the dog: UNSEEN words\"]}"));
    assert_same(json_object_get(want, "outputs"), json_object_get(served, "predictions"));
    json_t *inferred = ok(http_post(*state, "/v2/models/keras3_vectorization/infer",
                                    "{\"inputs\": [{\"name\": \"inputs\", \"shape\": [1], \"datatype\": \"BYTES\", "
                                    "\"data\": [\"the cat, the dog: UNSEEN words\"]}]}"));
    assert_same(json_array_get(json_object_get(want, "outputs"), 0),
                json_object_get(json_array_get(json_object_get(inferred, "outputs"), 0), "data"));
    json_decref(inferred);
    json_decref(served);
    json_decref(by_id);
    json_decref(want);
}

/* 100 texts for the demo model, and its request.json. */
static void the_demo_knows_languages(void **state)
{
    char *text = read_source_file("demo/language/test.json"), *request = read_source_file("demo/language/request.json");
    json_t *set = json_loads(text, 0, NULL), *row;
    json_t *body = json_pack("{s:s, s:O}", "model", "language", "instances", json_object_get(set, "instances"));
    char *sent = json_dumps(body, 0);
    json_t *answer = ok(http_post(*state, "/predict", sent));
    size_t b, k;
    json_array_foreach(json_object_get(set, "outputs"), b, row) {
        json_t *value;
        json_array_foreach(row, k, value) {
            double got = json_number_value(json_array_get(json_array_get(json_object_get(answer, "outputs"), b), k));
            assert_true(fabs(got - json_number_value(value)) < 1e-5);
        }
    }
    assert_int_equal(b, 100);
    json_decref(answer);
    answer = ok(http_post(*state, "/predict", request));
    static const char *const labels[] = {"English", "French", "Portuguese"};
    for (b = 0; b < 3; b++)
        assert_string_equal(
            json_string_value(json_object_get(json_array_get(json_object_get(answer, "predictions"), b), "label")),
            labels[b]);
    json_decref(answer);
    json_decref(body);
    json_decref(set);
    free(sent);
    free(request);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_are_those_of_keras),
                                       cmocka_unit_test(words_that_are_not_known_are_refused_where_keras_does),
                                       cmocka_unit_test(texts_go_by_every_protocol),
                                       cmocka_unit_test(the_demo_knows_languages)};
    return cmocka_run_group_tests(tests, start, stop);
}
