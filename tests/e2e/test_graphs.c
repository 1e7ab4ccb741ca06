/* Golden cases of graphs, over HTTP: the answers of the files in tests/graph/served.txt and tests/onnx/served.txt are
   within the tolerance of the case. */
#include "e2e.h"

#include <dirent.h>
#include <math.h>
#include <signal.h>

enum { GROUP = 100, MAX_FILES = 2000 }; /* GROUP: models of a server */
struct files {
    const char *folder; /* a folder of tests/fixtures, and of tests, which has served.txt */
    char *names[MAX_FILES];
    size_t n;
};
static struct files keras = {.folder = "graph"}, onnx = {.folder = "onnx"};

/* The case of a file: keras2_add.json for keras2_add.keras, keras2_add.h5 and keras2_add.weights. */
static json_t *case_of(const char *folder, const char *file)
{
    char path[256];
    snprintf(path, sizeof path, "tests/fixtures/%s/%.*s.json", folder, (int)(strrchr(file, '.') - file), file);
    char *text = read_source_file(path);
    json_t *json = json_loads(text, 0, NULL);
    free(text);
    if (!json)
        fail_msg("%s is no JSON", path);
    return json;
}

/* Assert that every number is within the tolerance of the float64 number, that lists have the expected length, and that
   objects have the expected names. */
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

static void check_file(const struct daemon *server, const struct files *files, size_t i)
{
    char name[24];
    snprintf(name, sizeof name, "m%zu", i);
    json_t *golden = case_of(files->folder, files->names[i]), *request = json_object_get(golden, "request");
    json_object_set_new(request, "model", json_string(name));
    char *body = json_dumps(request, 0);
    struct reply reply = http_post(server, "/predict", body);
    if (reply.status != 200)
        fail_msg("%s: %ld %s", files->names[i], reply.status, reply.body);
    const json_t *tolerance = json_object_get(golden, "tolerance"), *want = json_object_get(golden, "outputs_f64");
    const json_t *outputs = json_object_get(reply.json, "outputs");
    /* if the outputs are those of a recurrent layer and its states, the answer has the states in `states` */
    if (json_is_object(want) && json_is_array(outputs) && json_object_get(reply.json, "states"))
        want = json_object_iter_value(json_object_iter((json_t *)want));
    compare(files->names[i], outputs, want, json_number_value(json_object_get(tolerance, "rtol")),
            json_number_value(json_object_get(tolerance, "atol")));
    free(body);
    reply_free(&reply);
    json_decref(golden);
}

/* The model's entry, with the constants and states of the case. */
static json_t *entry_of(const struct files *files, size_t i)
{
    char name[24], path[512];
    snprintf(name, sizeof name, "m%zu", i);
    snprintf(path, sizeof path, "%s/tests/fixtures/%s/%s", SOURCE_DIR, files->folder, files->names[i]);
    json_t *entry = json_pack("{s:s, s:s}", "name", name, "path", path);
    json_t *golden = case_of(files->folder, files->names[i]), *more = json_object_get(golden, "config");
    if (more)
        json_object_update(entry, more);
    json_decref(golden);
    return entry;
}

static void check_files(const struct files *files)
{
    for (size_t first = 0; first < files->n; first += GROUP) {
        size_t end = first + GROUP < files->n ? first + GROUP : files->n;
        json_t *models = json_array();
        for (size_t i = first; i < end; i++)
            json_array_append_new(models, entry_of(files, i));
        json_t *config = json_pack("{s:o}", "models", models);
        char *text = json_dumps(config, 0);
        struct daemon server;
        daemon_start(&server, text, NULL);
        for (size_t i = first; i < end; i++)
            check_file(&server, files, i);
        assert_int_equal(daemon_stop(&server, SIGINT), 0);
        free(text);
        json_decref(config);
    }
}

static void every_file_is_within_keras_tolerance(void **state)
{
    (void)state;
    assert_true(keras.n >= 50);
    check_files(&keras);
}

static void every_onnx_file_is_within_tolerance_of_float64(void **state)
{
    (void)state;
    check_files(&onnx);
}

/* Run `cellserve predict` for a file without a request; returns whether it fails. */
static bool refuses(const char *path, char *out, size_t size)
{
    const char *binary = getenv("CELLSERVE_BINARY");
    char command[1024];
    snprintf(command, sizeof command, "%s predict %s </dev/null 2>&1", binary ? binary : BINARY, path);
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    size_t n = fread(out, 1, size - 1, pipe);
    out[n] = 0;
    return pclose(pipe) != 0;
}

/* Files of cases with `refused` are refused, and the error message contains this text. */
static void unsupported_files_are_refused_with_their_reason(void **state)
{
    (void)state;
    if (!onnx.n)
        skip();
    DIR *dir = opendir(SOURCE_DIR "/tests/fixtures/onnx");
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir)) {
        if (!strstr(entry->d_name, ".json"))
            continue;
        json_t *golden = case_of("onnx", entry->d_name);
        const char *words = json_string_value(json_object_get(golden, "refused"));
        char path[512], out[4096];
        snprintf(path, sizeof path, "%s/tests/fixtures/onnx/%s", SOURCE_DIR,
                 json_string_value(json_object_get(golden, "model")));
        if (words && (!refuses(path, out, sizeof out) || !strstr(out, words)))
            fail_msg("%s: \"%s\" is expected in: %s", path, words, out);
        json_decref(golden);
    }
    closedir(dir);
}

/* A session of a model with a ConvLSTM: frames in two requests give the same outputs as in one. */
static void frames_of_a_session_may_come_in_parts(void **state)
{
    (void)state;
    static const char file[] = "keras2_conv_lstm2d_stateful_stack";
    char text[512], name[64];
    struct daemon server;
    snprintf(name, sizeof name, "%s.json", file);
    json_t *golden = case_of("graph", name);
    const json_t *frames = json_array_get(json_object_get(json_object_get(golden, "request"), "instances"), 0);
    snprintf(text, sizeof text, "{\"models\": [{\"name\": \"m\", \"path\": \"%s/tests/fixtures/graph/%s.keras\"}]}",
             SOURCE_DIR, file);
    daemon_start(&server, text, NULL);
    json_t *outputs[3];
    for (size_t i = 0; i < 3; i++) { /* all frames, then the first two frames, then the others */
        json_t *some = json_array();
        for (size_t t = i == 2 ? 2 : 0; t < (i == 1 ? 2 : json_array_size(frames)); t++)
            json_array_append(some, json_array_get(frames, t));
        json_t *request = json_pack("{s:s, s:[o]}", "session", i ? "parts" : "whole", "instances", some);
        char *body = json_dumps(request, 0);
        struct reply reply = http_post(&server, "/predict", body);
        assert_int_equal(reply.status, 200);
        outputs[i] = json_incref(json_array_get(json_object_get(reply.json, "outputs"), 0));
        reply_free(&reply);
        free(body);
        json_decref(request);
    }
    assert_int_equal(json_array_size(outputs[0]), json_array_size(frames));
    assert_int_equal(json_array_extend(outputs[1], outputs[2]), 0);
    assert_true(json_equal(outputs[0], outputs[1]));
    for (size_t i = 0; i < 3; i++)
        json_decref(outputs[i]);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    json_decref(golden);
}

static int read_list(struct files *files)
{
    char path[64];
    snprintf(path, sizeof path, "tests/%s/served.txt", files->folder);
    char *text = read_source_file(path), *rest = text;
    for (char *line; (line = strtok_r(rest, "\n", &rest)) && files->n < MAX_FILES;)
        files->names[files->n++] = strdup(line);
    free(text);
    return 0;
}

static int read_names(void **state)
{
    (void)state;
    return read_list(&keras) || read_list(&onnx);
}

static int free_names(void **state)
{
    (void)state;
    for (size_t i = 0; i < keras.n; i++)
        free(keras.names[i]);
    for (size_t i = 0; i < onnx.n; i++)
        free(onnx.names[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_file_is_within_keras_tolerance),
                                       cmocka_unit_test(every_onnx_file_is_within_tolerance_of_float64),
                                       cmocka_unit_test(frames_of_a_session_may_come_in_parts),
                                       cmocka_unit_test(unsupported_files_are_refused_with_their_reason)};
    return cmocka_run_group_tests(tests, read_names, free_names);
}
