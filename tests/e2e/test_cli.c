/* The command line: exit codes, messages, and settings as flags, variables and keys of the file. */
#include "e2e.h"

#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void version_help_and_usage(void **state)
{
    (void)state;
    shell_expect("$B --version", 0, "cellserve ");
    shell_expect("$B --help", 0, "cellserve serve [MODEL...]");
    shell_expect("$B serve --help", 0, "--limits-max-rows");
    shell_expect("$B check --help", 0, "Validate the configuration");
    shell_expect("$B 2>&1", 2, "cellserve serve");
    shell_expect("$B -V", 0, "cellserve ");
    shell_expect("$B help verify", 0, "  --rtol R                       relative tolerance (1e-5)\n");
    shell_expect("$B verify --help", 0, "  --inputs FILE ");
    shell_expect("$B help serve", 0, "  --limits-max-rows ");
    shell_expect("$B fly 2>&1", 2, "unknown command \"fly\"");
    shell_expect("$B help fly 2>&1", 2, "unknown command \"fly\"");
    shell_expect("$B serv 2>&1", 2, "unknown command \"serv\"; did you mean \"serve\"?");
    shell_expect("$B serve --nonsense 3 2>&1", 2, "unknown option --nonsense");
    shell_expect("$B serve --limit-max-rows 3 2>&1", 2,
                 "unknown option --limit-max-rows; did you mean \"--limits-max-rows\"?");
    shell_expect("$B verify --expect 3 2>&1", 2, "unknown option --expect; did you mean \"--expected\"?");
    shell_expect("$B inspect --port 3 2>&1", 2, "unknown option --port\n");
    shell_expect("$B predict a b 2>&1", 2, "unexpected argument b");
    shell_expect("$B serve --port 2>&1", 2, "a value is missing after --port");
    shell_expect("$B check 2>&1", 2, "--config FILE is missing");
    shell_expect("$B inspect 2>&1", 2, "a MODEL is missing");
    shell_expect("$B verify $S/demo/seed 2>&1", 2, "--inputs and --expected are needed");
}

/* Colour and progress appear on a terminal, which script(1) provides, but not in files. */
static void colour_is_for_terminals(void **state)
{
    (void)state;
    char out[65536];
    shell_run("$B help serve", out, sizeof out);
    assert_null(strchr(out, 033));
    if (system("script -qec true /dev/null >/dev/null 2>&1")) {
        print_message("[  SKIPPED ] a root without pseudo-terminals\n");
        return;
    }
    shell_run("env -u NO_COLOR TERM=xterm script -qec '$B help serve' /dev/null", out, sizeof out);
    assert_non_null(strstr(out, "\033[1musage:\033[0m"));
    shell_run("NO_COLOR=1 TERM=xterm script -qec '$B help serve' /dev/null", out, sizeof out);
    assert_null(strchr(out, 033));
    shell_run("TERM=xterm script -qec '$B bench $S/demo/seed --seconds 1 --timesteps 4 >/dev/null' /dev/null", out,
              sizeof out);
    assert_non_null(strstr(out, "loading "));
    assert_non_null(strstr(out, " of 1 s"));
}

/* The model accepts the request that --sample prints. */
static void samples_have_the_models_shapes(void **state)
{
    (void)state;
    shell_expect("$B predict --sample $S/demo/seed", 0, "{\"instances\":[[[-1.0,-0.625],[-0.5,-0.125],");
    shell_expect("$B predict --sample $S/demo/digits/digits.keras | $B predict $S/demo/digits/digits.keras", 0,
                 "\"outputs\": [[");
    shell_expect("$B predict --sample $S/tests/fixtures/file_keras2_h5_embedding_lstm_dense/model.h5 | "
                 "$B predict $S/tests/fixtures/file_keras2_h5_embedding_lstm_dense/model.h5",
                 0, "\"outputs\": [[");
    /* Raw values of a model with scalers. */
    shell_expect(
        "d=$(mktemp -d) && cp $S/demo/seed/* $d && echo '{\"input_scaler\": {\"class_name\": \"StandardScaler\", "
        "\"mean\": [100, 0.5], \"scale\": [8, 0.25]}}' > $d/transform.json && $B predict --sample $d; rm -r $d",
        0, "{\"instances\":[[[92.0,0.3438],[96.0,0.4688],");
    shell_expect(
        "d=$(mktemp -d) && cp $S/demo/seed/* $d && echo '{\"input_scaler\": {\"class_name\": \"MinMaxScaler\", "
        "\"data_min\": [100, 0], \"data_max\": [116, 1]}}' > $d/transform.json && $B predict --sample $d; rm -r $d",
        0, "{\"instances\":[[[100.0,0.1875],[104.0,0.4375],");
}

static void predict_answers_without_a_server(void **state)
{
    (void)state;
    shell_expect("$B predict $S/demo/seed < $S/demo/seed/request.json", 0,
                 "{\"model\": \"seed\", \"version\": \"1\", \"outputs\": [[");
    shell_expect("echo '{\"instances\": 1}' | $B predict $S/demo/seed", 1,
                 "\"code\": \"wrong_type\", \"path\": \"/instances\"");
    shell_expect("echo '{' | $B predict $S/demo/seed", 1, "\"code\": \"invalid_json\"");
    shell_expect("echo '{}' | $B predict /nowhere 2>&1", 1, "/nowhere: No such file or directory");
}

static void inspect_prints_a_table(void **state)
{
    (void)state;
    shell_expect(
        "$B inspect $S/demo/seed", 0,
        "  cells.0                    LSTMCell               128                [128, 128]        67072     268288");
    shell_expect("$B inspect $S/demo/seed", 0, "parameters 198656");
    shell_expect("$B inspect $S/tests/fixtures/nested_stack", 0, "cells.1.cells.0");
}

static void inspect_draws_a_graph(void **state)
{
    (void)state;
    shell_expect("$B inspect $S/tests/fixtures/graph/keras2_additive_attention_seq2seq.keras", 0,
                 "  takes b; initial states from states_7\n");
    shell_expect("$B inspect $S/tests/fixtures/graph/keras2_additive_attention_seq2seq.keras", 0,
                 "  takes lstm_1, lstm\n");
    shell_expect("$B inspect $S/tests/fixtures/graph/keras2_additive_attention_seq2seq.keras", 0,
                 "\ninput a (None, 5, 3)\ninput b (None, 4, 2)\noutput (None, 4, 3), parameters 271\n");
    shell_expect("cd $(mktemp -d) && cp $S/tests/fuzz/corpus/config/model2_unused_layer m.json && $B inspect m.json", 0,
                 "not used ");
}

static void verify_names_both_shapes(void **state)
{
    (void)state;
    shell_expect("cd $(mktemp -d) && echo '{\"outputs\": [[1, 2]]}' > e.json && $B verify $S/demo/seed --inputs "
                 "$S/demo/seed/request.json --expected e.json",
                 1, "shapes differ: got [3, 128], expected [1, 2]\n");
}

static void verify_compares_with_a_framework(void **state)
{
    (void)state;
    shell_expect("cd $S/tests/fixtures/seed_seq_state && $B verify . --inputs request.json --expected expected.json", 0,
                 "within the tolerance");
    shell_expect("cd $S/tests/fixtures/seed_seq_state && $B verify . --inputs request.json --expected expected.json", 0,
                 "  timestep 4 ");
    shell_expect("cd $S/tests/fixtures/seed_seq_state && $B verify . --inputs request.json --expected expected.json", 0,
                 "states of cell 1 ");
    shell_expect(
        "cd $S/tests/fixtures/seed_seq_state && $B verify . --inputs request.json --expected expected.json --rtol 0 "
        "--atol 1e-12",
        1, "OUTSIDE the tolerance");
    shell_expect("cd $S/tests/fixtures/seed_seq_state && $B verify . --inputs request.json --expected model.json 2>&1",
                 1, "neither \"outputs\" nor \"states\"");
    shell_expect("$B verify $S/demo/seed --inputs /nowhere --expected /nowhere 2>&1", 1, "/nowhere: No such file");
}

static void damaged_archives_are_named(void **state)
{
    (void)state;
    shell_expect(
        "cd $(mktemp -d) && printf 'PK\\3\\4' > a.npz && $B verify $S/demo/seed --inputs a.npz --expected a.npz 2>&1",
        1, "a.npz: the archive is damaged or cut short");
}

static void verify_reads_npy(void **state)
{
    (void)state;
    /* np.save of [[[1, 2], [3, 4]]] as <f4 in C order and as <f8 in Fortran order */
    shell_expect(
        "cd $(mktemp -d) && "
        "printf '\\223NUMPY\\1\\0\\166\\0%-117s\\n\\0\\0\\200\\77\\0\\0\\0\\100\\0\\0\\100\\100\\0\\0\\200\\100' "
        "\"{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 2), }\" > c.npy && "
        "printf "
        "'\\223NUMPY\\1\\0\\166\\0%-"
        "117s\\n\\0\\0\\0\\0\\0\\0\\360\\77\\0\\0\\0\\0\\0\\0\\010\\100\\0\\0\\0\\0\\0\\0\\0\\100\\0\\0\\0\\0\\0\\0"
        "\\020\\100' "
        "\"{'descr': '<f8', 'fortran_order': True, 'shape': (1, 2, 2), }\" > f.npy && "
        "echo '{\"instances\": [[[1, 2], [3, 4]]]}' | $B predict $S/demo/seed > expected.json && "
        "$B verify $S/demo/seed --inputs c.npy --expected expected.json --rtol 0 --atol 0 && "
        "$B verify $S/demo/seed --inputs f.npy --expected expected.json --rtol 0 --atol 0",
        0, "within the tolerance");
}

static void verify_reads_npz(void **state)
{
    (void)state;
    /* numpy.savez_compressed of the request and of Keras's outputs and state.0.h … state.1.c for this fixture */
    shell_expect(
        "$B verify $S/tests/fixtures/model2_bidirectional_states/model.h5 --inputs $S/tests/e2e/data/inputs.npz "
        "--expected $S/tests/e2e/data/expected.npz",
        0, "state tensor 3                       12 numbers, largest difference ");
    shell_expect(
        "$B verify $S/tests/fixtures/model2_bidirectional_states/model.h5 --inputs $S/tests/e2e/data/inputs.npz "
        "--expected $S/tests/e2e/data/expected.npz --rtol 0 --atol 1e-9",
        1, "OUTSIDE the tolerance");
}

static void check_finds_every_problem(void **state)
{
    (void)state;
    char out[65536];
    int code =
        shell_run("cd $(mktemp -d) && echo '{\"prot\": 1, \"port\": 70000, \"limits\": {\"max_row\": 1}, \"tsl\": {}, "
                  "\"log\": {\"format\": \"xml\"}, "
                  "\"models\": [{\"name\": \"a b\", \"path\": \"x\"}, {\"name\": \"c\"}, {\"name\": \"d\", \"path\": "
                  "\"absent\", \"sed\": 3}]}' "
                  "> c.json && $B check --config c.json 2>&1",
                  out, sizeof out);
    assert_int_equal(code, 1);
    static const char *const lines[] = {"c.json: /prot: unknown key; did you mean \"port\"?\n",
                                        "c.json: /port: expected a whole number from 0 to 65535, found 70000\n",
                                        "c.json: /limits/max_row: unknown key; did you mean \"max_rows\"?\n",
                                        "c.json: /tsl: unknown key; did you mean \"tls\"?\n",
                                        "c.json: /log/format: expected one of text|json, found \"xml\"\n",
                                        "c.json: /models/0/name: expected 1 to 100 letters",
                                        "c.json: /models/1: a model needs either a \"path\" or an inline \"layer\"\n",
                                        "c.json: /models/2/sed: unknown key; did you mean \"seed\"?\n",
                                        "absent: No such file or directory\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        if (!strstr(out, lines[i]))
            fail_msg("no %s in\n%s", lines[i], out);
    shell_expect(
        "cd $(mktemp -d) && echo '{\"models\": [{\"name\": \"a\", \"path\": \"'$S'/demo/seed\"}]}' > c.json && $B "
        "check --config c.json",
        0, "1 model, no problem found");
    shell_expect("cd $(mktemp -d) && echo '{' > c.json && $B check --config c.json 2>&1", 1,
                 "c.json: line 2, column 0: ");
}

static void bad_models_are_refused_with_reasons(void **state)
{
    (void)state;
    shell_expect(
        "cd $(mktemp -d) && echo '{\"class_name\": \"GRU\", \"config\": {\"units\": 3}}' > m.json && $B inspect "
        "m.json 2>&1",
        1, "the number of input features is not known; set \"input_size\"");
    shell_expect(
        "cd $(mktemp -d) && echo '{\"class_name\": \"GRU\", \"config\": {\"units\": 3}}' > m.json && $B inspect "
        "m.json --input-size 4",
        0, "parameters 81"); /* 4x9 + 3x9 + 2x9 */
    shell_expect(
        "cd $(mktemp -d) && echo '{\"class_name\": \"Conv3D\", \"config\": {\"units\": 3}}' > m.json && $B inspect "
        "m.json 2>&1",
        1, "/class_name: a layer \"Conv3D\" is not served");
    shell_expect("cd $(mktemp -d) && echo '{\"class_name\": \"LSTM\", \"config\": {\"units\": 0, \"activation\": "
                 "\"tanhh\"}}' > m.json && $B inspect m.json 2>&1",
                 1, "/config/activation: unknown activation \"tanhh\"; did you mean \"tanh\"?");
    shell_expect("cd $(mktemp -d) && printf '\\211HDF\\r\\n\\032\\n' > m.h5 && $B inspect m.h5 2>&1", 1,
                 "m.h5: the HDF5 library cannot open it: it is damaged or cut short");
    shell_expect(
        "cd $(mktemp -d) && echo '{\"class_name\": \"LSTM\", \"config\": {\"units\": 1000000}}' > m.json && $B "
        "inspect m.json --input-size 9 2>&1",
        1, "its weights would take more than 16 GiB");
    shell_expect("CELLSERVE_ISA=mmx $B inspect $S/demo/seed 2>&1", 1, "CELLSERVE_ISA: expected one of ");
}

static void bench_prints_its_machine(void **state)
{
    (void)state;
    shell_expect("$B bench $S/demo/seed --batch 3 --timesteps 5", 0, "GFLOP/s");
    /* the fixed number of timesteps of a model (8 for digits) replaces --timesteps */
    shell_expect("$B bench $S/demo/digits/digits.keras --timesteps 5000 --seconds 1", 0,
                 "batch 1, 8 timesteps, 8 features");
    shell_expect("$B bench $S/demo/digits/digits.keras --timesteps 5000 --seconds 1 | awk '/^arithmetic/ && $4 < 120 "
                 "{print \"plausible\"}'",
                 0, "plausible");
    shell_expect("$B bench $S/demo/seed --batch 0 2>&1", 2, "--batch: expected a whole number from 1");
    shell_expect("$B bench $S/demo/seed --batch 2 --timesteps 3 --threads 2 --seconds 1", 0, "2 threads");
    shell_expect("$B bench $S/demo/seed --precision bf16 --timesteps 3 --seconds 1", 0, "bf16 weights");
    shell_expect("$B bench $S/demo/seed --precision half 2>&1", 1, "--precision: expected float32, bf16 or int8");
    shell_expect("$B inspect $S/demo/seed --precision int8", 0,
                 "int8 weights: the outputs of 8 random sequences differ from those with float32 by");
#if !SANITIZED
    shell_expect("$B bench --threads 1 --limits", 0, "GFLOP/s a thread\nreads, GB/s: 16 KiB a thread");
#endif
}

static void settings_have_three_spellings(void **state)
{
    (void)state;
    struct daemon server;
    char config[8192];
    snprintf(config, sizeof config, "%s", small_config(1, 2, ", \"limits\": {\"max_rows\": 1, \"max_timesteps\": 1}"));
    setenv("CELLSERVE_LIMITS_MAX_ROWS", "2", 1);
    setenv("CELLSERVE_LIMITS_MAX_TIMESTEPS", "2", 1);
    daemon_start(&server, config, (const char *const[]){"--limits-max-rows=3", NULL});
    unsetenv("CELLSERVE_LIMITS_MAX_ROWS");
    unsetenv("CELLSERVE_LIMITS_MAX_TIMESTEPS");
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1]], [[1]], [[1]]]}"); /* the flag takes
                                                                                                      precedence */
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_predict_error(&server, "{\"instances\": [[[1]], [[1]], [[1]], [[1]]]}", 413, "too_many_rows", "/instances");
    assert_predict_error(&server, "{\"instances\": [[[1], [1], [1]]]}", 413, "too_many_timesteps", "/instances/0");
    reply = http_post(&server, "/predict", "{\"instances\": [[[1], [1]]]}"); /* the variable takes precedence over the
                                                                                file */
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void a_lone_model_has_the_name_of_its_folder(void **state)
{
    (void)state;
    plain_alone("the commands know no authority");
    struct daemon server;
    char path[512];
    snprintf(path, sizeof path, "%s/demo/seed", SOURCE_DIR);
    daemon_start(&server, NULL, (const char *const[]){path, NULL});
    struct reply reply = http_get(&server, "/v1/models");
    assert_string_equal(reply.body, "{\"models\": [\"seed\"]}\n");
    reply_free(&reply);
    char command[256];
    snprintf(command, sizeof command, "$B health %s", server.url);
    shell_expect(command, 0, "answers 200 on /readyz");
    snprintf(command, sizeof command, "CELLSERVE_PORT=%d $B health", server.port);
    shell_expect(command, 0, "answers 200 on /readyz");
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    snprintf(command, sizeof command, "$B health %s", server.url);
    shell_expect(command, 1, "does not answer");
    shell_expect("$B health ftp://a 2>&1", 2, "expected http://host:port or https://host:port");
}

/* The first model is the default; "default" is another name for it. */
static void several_models_are_served_under_their_names(void **state)
{
    (void)state;
    struct daemon server;
    char paths[3][512], folder[] = "/tmp/cellserve-names-XXXXXX", command[1600];
    assert_non_null(mkdtemp(folder));
    snprintf(paths[0], sizeof paths[0], "%s/demo/digits/digits.keras", SOURCE_DIR);
    snprintf(paths[1], sizeof paths[1], "%s/demo/seed/", SOURCE_DIR);
    snprintf(paths[2], sizeof paths[2], "%s/m", folder);
    snprintf(command, sizeof command, "mkdir -p %s/m/7 && cp -r $S/demo/sunspots/sunspots.keras %s/m/7", folder,
             folder);
    shell_expect(command, 0, NULL);
    daemon_start(&server, NULL, (const char *const[]){paths[0], paths[1], paths[2], NULL});
    struct reply reply = http_get(&server, "/v1/models");
    assert_string_equal(reply.body, "{\"models\": [\"digits\", \"seed\", \"m\"]}\n");
    reply_free(&reply);
    reply = http_get(&server, "/v1/models/default/metadata");
    assert_string_equal(json_string_value(json_object_get(json_object_get(reply.json, "model_spec"), "name")),
                        "digits");
    reply_free(&reply);
    char *log = daemon_log(&server);
    assert_non_null(strstr(log, "(3 models: digits 1, seed 1, m 7; "));
    assert_non_null(strstr(log, "loading model "));
    free(log);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    daemon_start(&server, NULL, (const char *const[]){paths[1], "--name", "other", NULL});
    reply = http_get(&server, "/v1/models");
    assert_string_equal(reply.body, "{\"models\": [\"other\"]}\n");
    reply_free(&reply);
    reply = http_post(&server, "/predict", "{\"instances\": [[[1, 2]]], \"model\": \"default\"}");
    assert_int_equal(reply.status, 200);
    assert_string_equal(json_string_value(json_object_get(reply.json, "model")), "other");
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    shell_expect("$B serve $S/demo/seed $S/demo/digits/digits.keras --name x 2>&1", 1,
                 "--name: expected one MODEL, found 2");
    shell_expect("$B serve $S/demo/seed $S/demo/seed/ 2>&1", 1, "a second model named \"seed\"");
    shell_expect("$B serve $S/demo/seed --name 'a b' 2>&1", 1, "expected a name of 1 to 100 letters");
    snprintf(command, sizeof command, "rm -r %s", folder);
    shell_expect(command, 0, NULL);
}

/* IPv6 addresses with and without brackets, and `cellserve health` with them. */
static void ipv6_addresses_are_served(void **state)
{
    (void)state;
    plain_alone("the certificate is for IPv4");
    static const char *const hosts[] = {"[::]", "::", "[::1]", "::1"};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const struct sockaddr_in6 loopback = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    bool has_ipv6 = fd >= 0 && !bind(fd, (const struct sockaddr *)&loopback, sizeof loopback);
    if (fd >= 0)
        close(fd);
    if (!has_ipv6)
        skip();
    for (size_t i = 0; i < sizeof hosts / sizeof *hosts; i++) {
        struct daemon server;
        char path[512], command[256];
        snprintf(path, sizeof path, "%s/demo/seed", SOURCE_DIR);
        daemon_start(&server, NULL, (const char *const[]){path, "--host", hosts[i], NULL});
        assert_int_equal(strncmp(server.url, i < 2 ? "http://[::]:" : "http://[::1]:", i < 2 ? 12 : 13), 0);
        snprintf(command, sizeof command, "$B health %s", server.url);
        shell_expect(command, 0, "answers 200 on /readyz");
        snprintf(command, sizeof command, "CELLSERVE_HOST='%s' CELLSERVE_PORT=%d $B health", hosts[i], server.port);
        shell_expect(command, 0, "answers 200 on /readyz");
        assert_int_equal(daemon_stop(&server, SIGINT), 0);
    }
    shell_expect("$B serve $S/demo/seed --host '[::' 2>&1", 1, "host [::: ");
}

/* Variables that Kubernetes sets for a Service of the same name are ignored; a misspelt variable is an error. */
static void variables_are_checked(void **state)
{
    (void)state;
    shell_expect(
        "CELLSERVE_SERVICE_HOST=10.0.0.1 CELLSERVE_PORT=tcp://10.0.0.1:80 CELLSERVE_PORT_80_TCP=tcp://10.0.0.1:80 "
        "$B check --config $S/demo/cellserve.json 2>&1",
        0, "");
    shell_expect("CELLSERVE_LIMITS_MAX_ROW=1 $B check --config $S/demo/cellserve.json 2>&1", 1,
                 "CELLSERVE_LIMITS_MAX_ROW: unknown variable; did you mean \"CELLSERVE_LIMITS_MAX_ROWS\"?");
    shell_expect("CELLSERVE_PORT=tcp://10.0.0.1:80 $B health 2>&1; true", 0, "http://127.0.0.1:8080 ");
}

static void versions_folder_serves_the_highest(void **state)
{
    (void)state;
    struct daemon server;
    char folder[] = "/tmp/cellserve-versions-XXXXXX", command[1024];
    assert_non_null(mkdtemp(folder));
    snprintf(command, sizeof command,
             "mkdir %s/2 %s/00000010 && cp $S/demo/seed/model.json $S/demo/seed/weights.safetensors %s/2 && "
             "cp $S/demo/seed/model.json $S/demo/seed/weights.safetensors %s/00000010",
             folder, folder, folder, folder);
    shell_expect(command, 0, NULL);
    daemon_start(&server, NULL, (const char *const[]){folder, NULL});
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1, 2]]]}");
    assert_non_null(strstr(reply.body, "\"version\": \"10\""));
    reply_free(&reply);
    static const char *const versions[] = {"10", "00000010", "010", "1", "100", "0"};
    for (size_t i = 0; i < 6; i++) {
        char target[64];
        snprintf(target, sizeof target, "/v1/models/default/versions/%s:predict", versions[i]);
        reply = http_post(&server, target, "{\"instances\": [[[1, 2]]]}");
        if (i < 3)
            assert_int_equal(reply.status, 200);
        else
            assert_error(&reply, 404, "version_not_found", NULL);
        reply_free(&reply);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    snprintf(command, sizeof command, "mkdir %s/010 && $B inspect %s 2>&1", folder, folder);
    shell_expect(command, 1, "two folders are version 10; keep one");
    snprintf(command, sizeof command, "rm -r %s", folder);
    shell_expect(command, 0, NULL);
}

static void a_taken_port_is_an_error(void **state)
{
    (void)state;
    struct daemon server;
    char command[512];
    daemon_start(&server, small_config(1, 2, ""), NULL);
    snprintf(command, sizeof command, "$B serve $S/demo/seed --port %d 2>&1", server.port);
    shell_expect(command, 1, "Address already in use");
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(version_help_and_usage),
        cmocka_unit_test(colour_is_for_terminals),
        cmocka_unit_test(samples_have_the_models_shapes),
        cmocka_unit_test(predict_answers_without_a_server),
        cmocka_unit_test(inspect_prints_a_table),
        cmocka_unit_test(inspect_draws_a_graph),
        cmocka_unit_test(verify_compares_with_a_framework),
        cmocka_unit_test(verify_names_both_shapes),
        cmocka_unit_test(verify_reads_npy),
        cmocka_unit_test(verify_reads_npz),
        cmocka_unit_test(damaged_archives_are_named),
        cmocka_unit_test(check_finds_every_problem),
        cmocka_unit_test(bad_models_are_refused_with_reasons),
        cmocka_unit_test(bench_prints_its_machine),
        cmocka_unit_test(settings_have_three_spellings),
        cmocka_unit_test(a_lone_model_has_the_name_of_its_folder),
        cmocka_unit_test(several_models_are_served_under_their_names),
        cmocka_unit_test(ipv6_addresses_are_served),
        cmocka_unit_test(variables_are_checked),
        cmocka_unit_test(versions_folder_serves_the_highest),
        cmocka_unit_test(a_taken_port_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
