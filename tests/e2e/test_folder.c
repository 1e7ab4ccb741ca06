/* serve FOLDER: the models in a folder, their names, messages about other files, and files without read permission. */
#include "e2e.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[] = "/tmp/cellserve-folder-XXXXXX";
static struct daemon server;

/* Run a shell command in the folder, with the binary as $B and the source folder as $S; returns its exit code. */
static int run(const char *command, char *out, size_t size)
{
    const char *binary = getenv("CELLSERVE_BINARY");
    char line[4096];
    setenv("B", binary ? binary : BINARY, 1);
    setenv("S", SOURCE_DIR, 1);
    snprintf(line, sizeof line, "cd %s && { %s; } 2>&1", folder, command);
    FILE *pipe = popen(line, "r");
    out[fread(out, 1, size - 1, pipe)] = 0;
    int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void shell(const char *command)
{
    char out[4096];
    if (run(command, out, sizeof out))
        fail_msg("%s: %s", command, out);
}

static void refused(const char *command, const char *text)
{
    char out[8192];
    int code = run(command, out, sizeof out);
    if (code != 1 || !strstr(out, text))
        fail_msg("%s: expected 1 and \"%s\", found %d and:\n%s", command, text, code, out);
}

static void assert_models(const char *names)
{
    struct reply reply = http_get(&server, "/v1/models");
    if (reply.status != 200 || !strstr(reply.body, names))
        fail_msg("expected %s, found %s", names, reply.body);
    reply_free(&reply);
}

static void every_model_is_served_under_its_name(void **state)
{
    (void)state;
    const char *const arguments[] = {folder, NULL};
    shell("cp $S/demo/sunspots/sunspots.keras b.year.keras; mkdir real seed empty versions versions/3 .hidden;"
          "cp $S/demo/digits/digits.keras real/x; ln -s real/x a.keras; cp $S/demo/seed/model.json "
          "$S/demo/seed/*.safetensors seed;"
          "ln -s $S/demo/seed versions/3/none; cp $S/demo/digits/digits.keras versions/3/; cp "
          "$S/demo/digits/digits.keras .dot.keras;"
          "echo '{\"class_name\": \"GRU\", \"config\": {\"units\": 2, \"batch_input_shape\": [null, null, 3]}}' > "
          "plain.json;"
          "echo hello > README.md; echo '{\"a\": 1}' > notes.json; cp seed/*.safetensors w.safetensors; cp "
          "seed/*.safetensors w.npz");
    daemon_start(&server, NULL, arguments);
    assert_models("{\"models\": [\"a\", \"b.year\", \"plain\", \"real\", \"seed\", \"versions\"]}");
    struct reply reply = http_get(&server, "/v1/models/versions/versions/3");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    reply = http_get(&server, "/v1/models/default/metadata"); /* the first */
    assert_string_equal(json_string_value(json_object_get(json_object_get(reply.json, "model_spec"), "name")), "a");
    reply_free(&reply);
    reply = http_post(&server, "/v1/models/plain:predict", "{\"instances\": [[[1, 2, 3]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    char *log = daemon_log(&server);
    static const char *const passed_over[] = {
        "/README.md: this is no model", "/notes.json: this is no model", "/w.safetensors: a file of weights alone",
        "/w.npz: a file of weights alone", "/empty: no model.json and no model file"};
    for (size_t i = 0; i < sizeof passed_over / sizeof *passed_over; i++)
        if (!strstr(log, passed_over[i]))
            fail_msg("no \"%s\" in %s", passed_over[i], log);
    assert_null(strstr(log, "dot.keras"));
    assert_null(strstr(log, ".hidden"));
    free(log);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void a_configuration_in_the_folder_is_used(void **state)
{
    (void)state;
    const char *const arguments[] = {folder, NULL};
    shell("echo '{\"models\": [{\"name\": \"other\", \"path\": \"plain.json\"}]}' > cellserve.json");
    daemon_start(&server, NULL, arguments);
    assert_models("{\"models\": [\"other\"]}");
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    shell("echo '{\"model\": []}' > cellserve.json");
    refused("$B serve --port 0 .", "./cellserve.json: /model: unknown key");
    shell("rm cellserve.json");
}

static void files_with_wrong_names_are_errors(void **state)
{
    (void)state;
    shell("cp a.keras plain.h5");
    refused("$B serve --port 0 .", ".: ./plain.h5 and ./plain.json would both be named \"plain\"; rename one");
    shell("rm plain.h5; cp a.keras 'a b.keras'");
    refused("$B serve --port 0 .", "./a b.keras: expected a name of 1 to 100 letters");
    shell("rm 'a b.keras'");
    refused("$B serve --port 0 empty", "empty: no model in this folder");
}

static void missing_permissions_are_described(void **state)
{
    (void)state;
    char out[8192], expected[512];
    shell("mkdir locked; cp a.keras secret.keras; cp a.keras locked/m.keras; chmod 640 secret.keras; chmod 755 .; cp "
          "$B program; chmod 755 program");
    /* Run as user 65532, if possible, because root may read every file. */
    if (run("setpriv --reuid 65532 --regid 65532 --clear-groups true", out, sizeof out))
        skip();
    snprintf(
        expected, sizeof expected,
        "./secret.keras: Permission denied: ./secret.keras has mode 0640 and owner %u:%u, and this process runs as "
        "65532:65532; let others read it, or run as its owner",
        geteuid(), getegid());
    refused("setpriv --reuid 65532 --regid 65532 --clear-groups ./program serve --port 0 .", expected);
    refused("setpriv --reuid 65532 --regid 65532 --clear-groups ./program inspect ./secret.keras", expected);
    shell("chmod 644 secret.keras; chmod 700 locked");
    refused("setpriv --reuid 65532 --regid 65532 --clear-groups ./program inspect ./locked/m.keras",
            "./locked/m.keras: Permission denied: ./locked has mode 0700");
    refused("setpriv --reuid 65532 --regid 65532 --clear-groups ./program serve --port 0 .",
            "./locked: Permission denied: ./locked has mode 0700");
    shell("echo '{}' > c.json; chmod 600 c.json");
    refused("setpriv --reuid 65532 --regid 65532 --clear-groups ./program check --config c.json",
            "c.json: Permission denied: c.json has mode 0600");
}

static int start(void **state)
{
    (void)state;
    return !mkdtemp(folder);
}

static int stop(void **state)
{
    char command[64], out[64];
    (void)state;
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return run(command, out, sizeof out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_model_is_served_under_its_name),
        cmocka_unit_test(a_configuration_in_the_folder_is_used),
        cmocka_unit_test(files_with_wrong_names_are_errors),
        cmocka_unit_test(missing_permissions_are_described),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
