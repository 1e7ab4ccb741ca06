/* PyTorch files from the command line: each kind of module against PyTorch's results (tools/make_torch_models.py),
   drafts of model.json, and files that need no model.json. */
#include "e2e.h"

#include <dirent.h>
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/cellserve-torch-XXXXXX"; /* $D in shell commands; $T is the folder tests/torch */

struct difference {
    double squares; /* sum of the squared differences */
    size_t n;
};

static void differ(const json_t *got, const json_t *want, struct difference *d)
{
    if (json_is_number(want)) {
        /* the decimals of an answer stand for a float32, so round to that */
        double difference = fabs((double)(float)json_number_value(got) - json_number_value(want));
        d->squares += difference * difference;
        d->n++;
        return;
    }
    assert_true(json_is_array(got));
    assert_int_equal(json_array_size(got), json_array_size(want));
    for (size_t i = 0; i < json_array_size(want); i++)
        differ(json_array_get(got, i), json_array_get(want, i), d);
}

/* The root mean square error against float64 over 256 rows is at most twice that of PyTorch. Measured: 0.5 to 1.9
   times, because both add the same products in different orders. */
static void check_case(const char *name, const char *file)
{
    static char command[1024], out[1 << 20];
    char path[512];
    snprintf(path, sizeof path, "%s/tests/torch/models/%s/case.json", SOURCE_DIR, name);
    json_t *sample = json_load_file(path, 0, NULL), *request = json_object();
    assert_non_null(sample);
    json_object_set(request, "instances", json_object_get(sample, "inputs"));
    snprintf(path, sizeof path, "%s/request.json", folder);
    json_dump_file(request, path, 0);
    snprintf(command, sizeof command,
             "rm -rf $D/m && mkdir $D/m && ln -s $T/models/%s/model.json $D/m/model.json && ln -s $T/models/%s/%s.pt "
             "$D/m/w.pt "
             "&& $B predict $D/m <$D/request.json 2>&1",
             name, name, file);
    int code = shell_run(command, out, sizeof out);
    if (code)
        fail_msg("%s %s: %s", name, file, out);
    json_t *answer = json_loads(out, 0, NULL);
    struct difference d = {.n = 0};
    double own = json_number_value(json_object_get(sample, "torch_rms"));
    differ(json_object_get(answer, "outputs"), json_object_get(sample, "outputs"), &d);
    double rms = sqrt(d.squares / (double)d.n);
    if (!(rms <= 2 * own) || d.n < 512)
        fail_msg("%s %s: off by %g over %zu numbers, PyTorch by %g", name, file, rms, d.n, own);
    json_decref(answer);
    json_decref(request);
    json_decref(sample);
}

static void every_module_gives_the_numbers_of_pytorch(void **state)
{
    (void)state;
    static const char *const files[] = {"state-1.13", "state-new", "module-1.13", "module-new"};
    size_t n = 0;
    DIR *dir = opendir(SOURCE_DIR "/tests/torch/models");
    assert_non_null(dir);
    for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
        if (entry->d_name[0] != '.') {
            for (size_t i = 0; i < 4; i++)
                check_case(entry->d_name, files[i]);
            n++;
        }
    closedir(dir);
    assert_true(n >= 30);
}

/* Remove "unchecked" from the draft, as a user does after reading it. */
static void confirm_draft(void)
{
    char path[512];
    snprintf(path, sizeof path, "%s/a/model.json", getenv("D"));
    json_t *draft = json_load_file(path, 0, NULL);
    assert_non_null(draft);
    assert_int_equal(json_object_del(draft, "unchecked"), 0);
    assert_int_equal(json_dump_file(draft, path, 0), 0);
    json_decref(draft);
}

/* A draft contains guesses for what the file does not say, so it is not served. */
static void a_draft_is_not_served(void **state)
{
    (void)state;
    shell_expect("$B predict $T/files/state-new.pt </dev/null 2>&1", 1,
                 "it holds the weights of a PyTorch model, and not how");
    shell_expect("$B describe $T/files/state-new.pt", 0, "\"class_name\": \"torch.nn.LSTM\"");
    shell_expect("$B describe $T/files/state-new.pt", 0, "\"last_timestep\\\" after \\\"lstm\\\": or last_hidden");
    shell_expect("$B describe $T/files/module-1.13.pt", 0, "the modules stand in the order of the constructor");
    shell_expect("mkdir $D/a && cp $T/files/state-new.pt $D/a/w.pt && $B describe $D/a >$D/a/model.json && echo "
                 "'{\"instances\": "
                 "[[[1, 2]]]}' | $B predict $D/a 2>&1",
                 1, "/unchecked: this is a draft of \"cellserve describe\"");
    confirm_draft();
    shell_expect("echo '{\"instances\": [[[1, 2], [3, 4]]]}' | $B predict $D/a 2>&1", 0,
                 "\"outputs\": [[20.989017,21.59377");
    shell_expect("$B describe $T/../fixtures/model3_npz/nothing 2>&1", 1, "No such file");
    shell_expect("$B describe $T/../fixtures/file_keras3_keras_rnn_stacked/model.keras 2>&1", 1,
                 "a Keras file says itself how its layers are joined");
}

/* The short model.json for one recurrent module with a head works with every kind of file. */
static void a_lone_lstm_with_a_head_takes_every_file(void **state)
{
    (void)state;
    static const char *const files[] = {"state-1.13",     "state-new",    "state_legacy-new",  "checkpoint-1.13",
                                        "checkpoint-new", "parallel-new", "f64-1.13",          "f16_legacy-new",
                                        "bf16-new",       "module-new",   "module_legacy-1.13"};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        char command[1024];
        snprintf(
            command, sizeof command,
            "rm -rf $D/h && mkdir $D/h && cp $T/files/%s.pt $D/h/w.pth && echo '{\"class_name\": \"torch.nn.LSTM\", "
            "\"config\": {\"input_size\": 2, \"hidden_size\": 3}, \"head\": {\"class_name\": \"torch.nn.Linear\", "
            "\"name\": \"fc\", \"config\": {\"out_features\": 2}, \"apply\": true}}' >$D/h/model.json && echo "
            "'{\"instances\": [[[1, 2], [3, 4]]]}' | $B predict $D/h 2>/dev/null",
            files[i]);
        shell_expect(command, 0, "\"outputs\": [[20.989017,21.59377");
    }
}

/* A single module or a whole nn.Sequential needs no model.json. */
static void whole_modules_with_a_known_forward_are_served(void **state)
{
    (void)state;
    shell_expect("echo '{\"instances\": [[[1, 2], [3, 4]]]}' | $B predict $T/files/lone-1.13.pt", 0,
                 "\"outputs\": [[[");
    shell_expect("echo '{\"instances\": [[1, 2]]}' | $B predict $T/files/sequential-new.pt", 0,
                 "\"outputs\": [[2.75,3.3398438]]");
    shell_expect("$B describe $T/files/sequential-1.13.pt", 0, "\"negative_slope\": 0.25");
}

static int start(void **state)
{
    (void)state;
    if (!mkdtemp(folder))
        return -1;
    return setenv("T", SOURCE_DIR "/tests/torch", 1) || setenv("D", folder, 1);
}

static int stop(void **state)
{
    char out[64];
    (void)state;
    return shell_run("rm -rf $D", out, sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_module_gives_the_numbers_of_pytorch),
                                       cmocka_unit_test(a_draft_is_not_served),
                                       cmocka_unit_test(a_lone_lstm_with_a_head_takes_every_file),
                                       cmocka_unit_test(whole_modules_with_a_known_forward_are_served)};
    return cmocka_run_group_tests(tests, start, stop);
}
