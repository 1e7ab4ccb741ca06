/* Whole pipelines of scikit-learn and Keras: answers to raw values equal those of Python (tools/make_pipelines.py). */
#include "e2e.h"

#include <math.h>
#include <signal.h>

#define FOLDER "tests/fixtures/pipelines"

/* The largest difference between two nested lists of numbers. */
static double difference(const json_t *a, const json_t *b)
{
    double largest = 0;
    if (json_is_number(a) && json_is_number(b))
        return fabs(json_number_value(a) - json_number_value(b));
    assert_int_equal(json_array_size(a), json_array_size(b));
    assert_true(json_array_size(a) > 0);
    for (size_t i = 0; i < json_array_size(a); i++)
        largest = fmax(largest, difference(json_array_get(a, i), json_array_get(b, i)));
    return largest;
}

/* A configuration with a model for each case: "p0", "p1", … */
static char *configuration(const json_t *cases)
{
    json_t *models = json_array();
    size_t i;
    json_t *one;
    json_array_foreach(cases, i, one) {
        char name[24], path[400];
        snprintf(name, sizeof name, "p%zu", i);
        snprintf(path, sizeof path, "%s/" FOLDER "/%s.keras", SOURCE_DIR,
                 json_string_value(json_object_get(one, "model")));
        json_array_append_new(models, json_pack("{s:s, s:s, s:O}", "name", name, "path", path, "transform",
                                                json_object_get(one, "transform")));
    }
    json_t *all = json_pack("{s:o}", "models", models);
    char *text = json_dumps(all, JSON_REAL_PRECISION(17));
    json_decref(all);
    return text;
}

/* The error against float64 is at most twice that of Python. */
static void answers_are_those_of_python(void **state)
{
    (void)state;
    struct daemon server;
    char *text = read_source_file(FOLDER "/pipelines.json");
    json_t *cases = json_loads(text, 0, NULL), *one;
    assert_int_equal(json_array_size(cases), 30);
    char *config = configuration(cases);
    daemon_start(&server, config, NULL);
    size_t i;
    json_array_foreach(cases, i, one) {
        char name[24];
        snprintf(name, sizeof name, "p%zu", i);
        json_t *body = json_pack("{s:s, s:O}", "model", name, "instances", json_object_get(one, "raw"));
        char *sent = json_dumps(body, JSON_REAL_PRECISION(17));
        json_t *answer = ok(http_post(&server, "/predict", sent));
        const json_t *exact = json_object_get(one, "exact");
        double ours = difference(json_object_get(answer, "outputs"), exact);
        double python = difference(json_object_get(one, "python"), exact);
        if (ours > 2 * python)
            fail_msg("case %zu (%s): error %.3g, Python's %.3g", i, json_string_value(json_object_get(one, "model")),
                     ours, python);
        json_decref(answer);
        json_decref(body);
        free(sent);
    }
    json_decref(cases);
    free(config);
    free(text);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* verify accepts raw inputs and raw outputs of a pipeline. */
static void verify_takes_raw_values(void **state)
{
    (void)state;
    char *text = read_source_file(FOLDER "/pipelines.json"), command[2000], folder[] = "/tmp/cellserve-verify-XXXXXX";
    json_t *cases = json_loads(text, 0, NULL), *one = json_array_get(cases, 3);
    assert_non_null(mkdtemp(folder));
    char path[200];
    snprintf(path, sizeof path, "%s/raw.json", folder);
    json_dump_file(json_object_get(one, "raw"), path, 0);
    snprintf(path, sizeof path, "%s/expected.json", folder);
    json_dump_file(json_object_get(one, "python"), path, 0);
    snprintf(path, sizeof path, "%s/sequence.transform.json", folder);
    json_dump_file(json_object_get(one, "transform"), path, 0);
    assert_string_equal(json_string_value(json_object_get(one, "model")), "sequence");
    snprintf(command, sizeof command,
             "cp %s/" FOLDER "/sequence.keras %s/" FOLDER "/?_3.* %s/ && " BINARY
             " verify %s/sequence.keras --inputs %s/raw.json --expected %s/expected.json --rtol 1e-4 > %s/out 2>&1",
             SOURCE_DIR, SOURCE_DIR, folder, folder, folder, folder, folder);
    int good = system(command);
    snprintf(command, sizeof command, /* a file name of one letter, without a folder */
             "cd %s && mv sequence.keras s.keras && mv sequence.transform.json s.transform.json && " BINARY
             " verify s.keras --inputs raw.json --expected expected.json --rtol 1e-4 >> out 2>&1",
             folder);
    good = good ? good : system(command);
    snprintf(command, sizeof command, "cat %s/out; rm -r %s", folder, folder);
    if (system(command) || good)
        fail_msg("verify says %d", good);
    json_decref(cases);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_are_those_of_python),
                                       cmocka_unit_test(verify_takes_raw_values)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
