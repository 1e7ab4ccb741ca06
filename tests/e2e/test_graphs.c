/* Golden cases of graphs, over HTTP: the files of tests/graph/served.txt, each within its tolerance of Keras in float64. */
#include "e2e.h"

#include <math.h>
#include <signal.h>

enum { GROUP = 100, MAX_FILES = 2000 }; /* a server takes so many models */
static char *files[MAX_FILES];
static size_t n_files;

/* The case of a file: keras2_add.json of keras2_add.keras, keras2_add.h5 and keras2_add.weights. */
static json_t *case_of(const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "tests/fixtures/graph/%.*s.json", (int)(strrchr(file, '.') - file), file);
    char *text = read_source_file(path);
    json_t *json = json_loads(text, 0, NULL);
    free(text);
    if (!json)
        fail_msg("%s is no JSON", path);
    return json;
}

/* Every number within the tolerance of the float64 one, every list of the expected length, every object of the names. */
static void compare(const char *where, const json_t *got, const json_t *want, double rtol, double absolute)
{
    if (json_is_object(want)) {
        if (!json_is_object(got) || json_object_size(got) != json_object_size(want))
            fail_msg("%s: an object of %zu outputs is expected", where, json_object_size(want));
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)want, name, value)
            compare(where, json_object_get(got, name), value, rtol, absolute);
        return;
    }
    if (json_is_array(want)) {
        if (!json_is_array(got) || json_array_size(got) != json_array_size(want))
            fail_msg("%s: a list of %zu is expected", where, json_array_size(want));
        for (size_t i = 0; i < json_array_size(want); i++)
            compare(where, json_array_get(got, i), json_array_get(want, i), rtol, absolute);
        return;
    }
    double a = (double)(float)json_number_value(got), b = json_number_value(want);
    if (!json_is_number(got) || !(fabs(a - b) <= absolute + rtol * fabs(b)))
        fail_msg("%s: %.9g, expected %.17g", where, a, b);
}

static void check_file(const struct daemon *server, size_t i)
{
    char name[24];
    snprintf(name, sizeof name, "m%zu", i);
    json_t *golden = case_of(files[i]), *request = json_object_get(golden, "request");
    json_object_set_new(request, "model", json_string(name));
    char *body = json_dumps(request, 0);
    struct reply reply = http_post(server, "/predict", body);
    if (reply.status != 200)
        fail_msg("%s: %ld %s", files[i], reply.status, reply.body);
    const json_t *tolerance = json_object_get(golden, "tolerance"), *want = json_object_get(golden, "outputs_f64");
    const json_t *outputs = json_object_get(reply.json, "outputs");
    /* a recurrent layer's output and its states: the answer has the states beside */
    if (json_is_object(want) && json_is_array(outputs) && json_object_get(reply.json, "states"))
        want = json_object_iter_value(json_object_iter((json_t *)want));
    compare(files[i], outputs, want, json_number_value(json_object_get(tolerance, "rtol")),
            json_number_value(json_object_get(tolerance, "atol")));
    free(body);
    reply_free(&reply);
    json_decref(golden);
}

static void every_file_is_within_keras_tolerance(void **state)
{
    (void)state;
    assert_true(n_files >= 50);
    for (size_t first = 0; first < n_files; first += GROUP) {
        size_t end = first + GROUP < n_files ? first + GROUP : n_files;
        json_t *models = json_array();
        for (size_t i = first; i < end; i++) {
            char name[24], path[512];
            snprintf(name, sizeof name, "m%zu", i);
            snprintf(path, sizeof path, "%s/tests/fixtures/graph/%s", SOURCE_DIR, files[i]);
            json_array_append_new(models, json_pack("{s:s, s:s}", "name", name, "path", path));
        }
        json_t *config = json_pack("{s:o}", "models", models);
        char *text = json_dumps(config, 0);
        struct daemon server;
        daemon_start(&server, text, NULL);
        for (size_t i = first; i < end; i++)
            check_file(&server, i);
        assert_int_equal(daemon_stop(&server, SIGINT), 0);
        free(text);
        json_decref(config);
    }
}

static int read_names(void **state)
{
    (void)state;
    char *text = read_source_file("tests/graph/served.txt"), *rest = text;
    for (char *line; (line = strtok_r(rest, "\n", &rest)) && n_files < MAX_FILES;)
        files[n_files++] = strdup(line);
    free(text);
    return 0;
}

static int free_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_files; i++)
        free(files[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_file_is_within_keras_tolerance)};
    return cmocka_run_group_tests(tests, read_names, free_names);
}
