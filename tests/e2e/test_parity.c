/* Every golden case of Keras, over HTTP, with one server for all models. */
#include "e2e.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <unistd.h>

enum { MAX_CASES = 200 };
static char *cases[MAX_CASES];
static size_t n_cases;
static struct daemon server;

static json_t *load(const char *name, const char *file)
{
    char path[512];
    snprintf(path, sizeof path, "tests/fixtures/%s/%s", name, file);
    char *text = read_source_file(path);
    json_t *json = json_loads(text, 0, NULL);
    free(text);
    assert_non_null(json);
    return json;
}

/* Assert that every number is within the tolerance of the float64 number, and that lists have the expected length. */
static void compare(const char *where, const json_t *got, const json_t *want, double rtol, double atol_)
{
    if (json_is_array(want)) {
        if (!json_is_array(got) || json_array_size(got) != json_array_size(want))
            fail_msg("%s: a list of %zu is expected", where, json_array_size(want));
        for (size_t i = 0; i < json_array_size(want); i++)
            compare(where, json_array_get(got, i), json_array_get(want, i), rtol, atol_);
        return;
    }
    double a = (double)(float)json_number_value(got), b = json_number_value(want);
    if (!json_is_number(got) || !(fabs(a - b) <= atol_ + rtol * fabs(b)))
        fail_msg("%s: %.9g, expected %.17g", where, a, b);
}

static void run_case(const char *name, const json_t *meta, int k, int n, json_t **states)
{
    char file[64], where[160];
    const json_t *tolerance = json_object_get(meta, "tolerance");
    double rtol = json_number_value(json_object_get(tolerance, "rtol"));
    double absolute = json_number_value(json_object_get(tolerance, "atol"));
    snprintf(file, sizeof file, n == 1 ? "request.json" : "request-%d.json", k);
    json_t *request = load(name, file);
    snprintf(file, sizeof file, n == 1 ? "expected.json" : "expected-%d.json", k);
    json_t *expected = load(name, file);
    json_object_set_new(request, "model", json_string(name));
    if (*states)
        json_object_set(request, "initial_state", *states);
    char *body = json_dumps(request, 0);
    struct reply reply = http_post(&server, "/predict", body);
    if (reply.status != 200)
        fail_msg("%s: %ld %s", name, reply.status, reply.body);
    static const char *const keys[] = {"outputs", "states"};
    for (size_t i = 0; i < 2; i++) {
        char key64[16];
        snprintf(key64, sizeof key64, "%s_f64", keys[i]);
        snprintf(where, sizeof where, "%s %s", name, keys[i]);
        const json_t *want = json_object_get(expected, key64);
        want = want ? want : json_object_get(expected, keys[i]);
        if (want) /* cases of Keras's files have only outputs */
            compare(where, json_object_get(reply.json, keys[i]), want, rtol, absolute);
    }
    json_decref(*states);
    *states = json_incref(json_object_get(reply.json, "states"));
    const json_t *zeros = json_object_get(expected, "get_initial_state");
    if (zeros) {
        char path[160], batch[64];
        snprintf(path, sizeof path, "/v1/models/%s:initial_state", name);
        snprintf(batch, sizeof batch, "{\"batch_size\": %zu}", json_array_size(json_object_get(request, "instances")));
        struct reply initial = http_post(&server, path, batch);
        assert_int_equal(initial.status, 200);
        assert_true(json_equal(json_object_get(initial.json, "states"), zeros));
        reply_free(&initial);
    }
    free(body);
    json_decref(request);
    json_decref(expected);
    reply_free(&reply);
}

static void every_case_is_within_keras_tolerance(void **state)
{
    (void)state;
    assert_true(n_cases >= 135);
    for (size_t i = 0; i < n_cases; i++) {
        json_t *meta = load(cases[i], "meta.json"), *states = NULL;
        int n = json_object_get(meta, "requests") ? (int)json_integer_value(json_object_get(meta, "requests")) : 1;
        for (int k = 1; k <= n; k++)
            run_case(cases[i], meta, k, n, &states);
        json_decref(states);
        json_decref(meta);
    }
}

static void metadata_gives_state_size_and_output_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_cases; i++) {
        char path[160];
        json_t *meta = load(cases[i], "meta.json");
        snprintf(path, sizeof path, "/v1/models/%s/metadata", cases[i]);
        struct reply reply = http_get(&server, path);
        assert_int_equal(reply.status, 200);
        const json_t *size = json_object_get(reply.json, "state_size"), *want = json_object_get(meta, "state_size");
        if (want && strcmp(cases[i], "reverse_state_order") && !json_equal(size, want))
            fail_msg("%s: state_size differs", cases[i]);
        if (json_object_get(meta, "output_size"))
            assert_int_equal(json_integer_value(json_object_get(reply.json, "output_size")),
                             json_integer_value(json_object_get(meta, "output_size")));
        json_decref(meta);
        reply_free(&reply);
    }
}

static int start(void **state)
{
    (void)state;
    char text[65536], *at = text, folder[512];
    snprintf(folder, sizeof folder, "%s/tests/fixtures", SOURCE_DIR);
    DIR *dir = opendir(folder);
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry && n_cases < MAX_CASES; entry = readdir(dir)) {
        char meta[800];
        snprintf(meta, sizeof meta, "%s/%s/meta.json", folder, entry->d_name);
        if (!access(meta, R_OK)) /* folders without meta.json belong to other tests */
            cases[n_cases++] = strdup(entry->d_name);
    }
    closedir(dir);
    at += sprintf(at, "{\"models\": [");
    for (size_t i = 0; i < n_cases; i++) {
        json_t *meta = load(cases[i], "meta.json");
        const char *file = json_string_value(json_object_get(meta, "model"));
        bool whole = file && !strstr(file, ".json"); /* otherwise the folder, with model.json and its weights */
        at += sprintf(at, "%s{\"name\": \"%s\", \"path\": \"%s/%s%s%s\"}", i ? "," : "", cases[i], folder, cases[i],
                      whole ? "/" : "", whole ? file : "");
        json_decref(meta);
    }
    sprintf(at, "]}");
    daemon_start(&server, text, NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_cases; i++)
        free(cases[i]);
    return daemon_stop(&server, SIGINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_case_is_within_keras_tolerance),
        cmocka_unit_test(metadata_gives_state_size_and_output_size),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
