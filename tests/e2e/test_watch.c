/* Watched models with wrong files: weights that are not finite, versions that are removed, and paths that are no
   regular files. */
#include "e2e.h"

#include <math.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct daemon server;
static char folder[] = "/tmp/cellserve-watch-XXXXXX";

static const char config[] =
    "{\"class_name\": \"SimpleRNN\", \"config\": {\"units\": 1, \"activation\": \"linear\", \"use_bias\": false}}";

static void path_of(const char *name, char *out, size_t size)
{
    snprintf(out, size, "%s/m/%s", folder, name);
}

/* Run a shell command in the folder with the model's versions. */
__attribute__((format(printf, 1, 2))) static void shell(const char *format, ...)
{
    char command[512];
    va_list args;
    int n = snprintf(command, sizeof command, "cd %s/m && ", folder);
    va_start(args, format);
    vsnprintf(command + n, sizeof command - (size_t)n, format, args);
    va_end(args);
    assert_int_equal(system(command), 0);
}

static void write_file(const char *name, const void *bytes, size_t n)
{
    char path[256];
    path_of(name, path, sizeof path);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(bytes, 1, n, file);
    fclose(file);
}

/* Rename the complete folder of a version into place. The output is `kernel` times the input plus `recurrent` times the
   previous output. */
static void publish_cell(const char *name, float kernel, float recurrent)
{
    static const char header[] =
        "{\"cells.0.kernel\": {\"dtype\": \"F32\", \"shape\": [1, 1], \"data_offsets\": [0, 4]}, "
        "\"cells.0.recurrent_kernel\": {\"dtype\": \"F32\", \"shape\": [1, 1], \"data_offsets\": [4, 8]}}";
    unsigned char bytes[512] = {sizeof header - 1};
    char draft[128], final[128];
    memcpy(bytes + 8, header, sizeof header - 1);
    memcpy(bytes + 8 + sizeof header - 1, &kernel, sizeof kernel);
    memcpy(bytes + 8 + sizeof header - 1 + 4, &recurrent, sizeof recurrent);
    path_of("draft", draft, sizeof draft);
    path_of(name, final, sizeof final);
    assert_int_equal(mkdir(draft, 0755), 0);
    write_file("draft/model.json", config, sizeof config - 1);
    write_file("draft/weights.safetensors", bytes, 8 + sizeof header - 1 + 8);
    assert_int_equal(rename(draft, final), 0);
}

static void publish(const char *name, float kernel)
{
    publish_cell(name, kernel, 0);
}

static void start(const char *more)
{
    char text[512];
    snprintf(text, sizeof text, "{\"models\": [{\"name\": \"m\", \"path\": \"%s/m\"%s}]}", folder, more);
    daemon_start(&server, text, NULL);
}

static void load_anew(void)
{
    assert_int_equal(kill(server.pid, SIGHUP), 0);
}

/* Wait for a log line with this text. It must come only once, however long the fault lasts. */
static void wait_line(const char *text)
{
    bool found = false;
    for (double end = now_ms() + 60000; !found && now_ms() < end; sleep_ms(10)) {
        char *log = daemon_log(&server);
        found = strstr(log, text);
        free(log);
    }
    if (!found)
        fail_msg("no \"%s\" in the log", text);
}

static size_t lines_with(const char *text)
{
    char *log = daemon_log(&server);
    size_t n = 0;
    for (const char *at = strstr(log, text); at; at = strstr(at + 1, text))
        n++;
    free(log);
    return n;
}

/* Check which version answers, and the number that it answers with. */
static void assert_serves(const char *version, double number)
{
    struct reply reply = {.status = 0};
    const char *found = NULL;
    for (double end = now_ms() + 60000; now_ms() < end; sleep_ms(10)) {
        reply_free(&reply);
        reply = http_post(&server, "/predict", "{\"instances\": [[[5], [1]]]}");
        found = json_string_value(json_object_get(reply.json, "version"));
        if (found && !strcmp(found, version))
            break;
    }
    assert_int_equal(reply.status, 200);
    assert_string_equal(found, version);
    assert_true(json_number_value(json_array_get(json_array_get(json_object_get(reply.json, "outputs"), 0), 0)) ==
                number);
    reply_free(&reply);
}

static void weights_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    publish("1", 1);
    start("");
    publish("2", NAN);
    load_anew();
    wait_line("version 2 cannot be loaded, version 1 serves on: ");
    wait_line("tensor \"cells.0.kernel\": 1 of its 1 numbers are not finite in float32, the first is [0]; "
              "\"allow_nonfinite\" in the model's entry serves it all the same");
    await_page(&server, "/v1/models/m", "its weights are not finite", true);
    await_page(&server, "/metrics",
               "cellserve_model_reload_failed{model=\"m\",version=\"2\",reason=\"its weights are not finite\"} 1",
               true);
    publish_cell("3", 1e38f, 1e38f); /* finite, but what it computes is not */
    load_anew();
    load_anew();
    wait_line("version 3 cannot be loaded, version 1 serves on: ");
    wait_line("its outputs for 4 random timesteps (inputs in -1..1) are not finite");
    assert_serves("1", 1);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    shell("rm -r 3");
    start(", \"allow_nonfinite\": true");
    char *log = daemon_log(&server);
    assert_non_null(strstr(log, "warning: "));
    assert_non_null(strstr(log, "tensor \"cells.0.kernel\": 1 of its 1 numbers are not finite in float32"));
    free(log);
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[5]]]}");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.body, "\"version\": \"2\", \"outputs\": [[NaN]]"));
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    shell("rm -r *");
}

static void a_removed_version_makes_the_next_lower_one_serve(void **state)
{
    (void)state;
    publish("1", 1);
    publish("2", NAN);
    publish("3", 3);
    publish("0000000000000000000000004", 4);
    start(", \"watch\": true");
    assert_serves("4", 4);
    struct reply reply = http_post(&server, "/v1/models/m/versions/4:predict", "{\"instances\": [[[1]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    reply = http_post(&server, "/v1/models/m/versions/0004:predict", "{\"instances\": [[[1]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    reply = http_post(&server, "/v1/models/m/versions/40:predict", "{\"instances\": [[[1]]]}");
    assert_error(&reply, 404, "version_not_found", NULL);
    reply_free(&reply);
    shell("mkdir 5");
    wait_line("version 5 cannot be loaded, version 4 serves on: ");
    shell("mv 0000000000000000000000004 gone");
    assert_serves("3", 3);
    shell("rm -r 3"); /* version 1 remains, below an empty version and one with NaN */
    assert_serves("1", 1);
    await_page(&server, "/v1/models/m", "INVALID_ARGUMENT", true);
    shell("mv 1 away"); /* nothing is left to go back to */
    wait_line("version 2 cannot be loaded, version 1 serves on: ");
    assert_serves("1", 1);
    publish("6", 6);
    assert_serves("6", 6);
    await_page(&server, "/v1/models/m", "INVALID_ARGUMENT", false);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    shell("rm -r *");
}

/* Six models, each with a different fault in its files. */
static void faults_of_files_are_logged_once(void **state)
{
    (void)state;
    static const struct {
        const char *command, *line, *reason;
    } rows[] = {
        {"mkdir 0/2", "/0/2: no model.json and no model file in this folder", "no model in this folder"},
        {"mkdir 1/2 && mkfifo 1/2/model.json && mkfifo 1/2/m.h5", "/1/2/m.h5: expected a regular file, found a FIFO",
         "expected a regular file, found a FIFO"},
        {"mkdir 2/2 && ln -s /dev/zero 2/2/m.keras", "/2/2/m.keras: expected a regular file, found a device",
         "expected a regular file, found a device"},
        {"mkdir -p 3/2/m.keras", "/3/2/m.keras: expected a regular file, found a folder",
         "expected a regular file, found a folder"},
        {"mkdir 4/2 && true >4/2/model.json", "/4/2/model.json: the file is empty",
         "the file is empty: it was not written, or not copied, to its end"},
        {"mv 5 away", "/m/5: No such file or directory", "No such file or directory"},
    };
    enum { ROWS = sizeof rows / sizeof *rows };
    char text[2048] = "{\"models\": [", page[256];
    for (size_t i = 0; i < ROWS; i++) {
        publish("new", 1);
        shell("mkdir %zu && mv new %zu/1", i, i);
    }
    for (size_t i = 0, n = strlen(text); i < ROWS; i++)
        n += (size_t)snprintf(text + n, sizeof text - n,
                              "%s{\"name\": \"m%zu\", \"path\": \"%s/m/%zu\", \"watch\": true}", i ? ", " : "", i,
                              folder, i);
    strcat(text, "]}");
    daemon_start(&server, text, NULL);
    for (size_t i = 0; i < ROWS; i++)
        shell("%s", rows[i].command);
    for (size_t i = 0; i < ROWS; i++) {
        wait_line(rows[i].line);
        snprintf(page, sizeof page, "reason=\"%s\"} 1\n", rows[i].reason);
        await_page(&server, "/metrics", page, true);
    }
    publish("new", 3); /* it is loaded after two more looks */
    shell("mv new 0/3");
    wait_line("model m0: version 3 is loaded and serves now");
    for (size_t i = 0; i < ROWS; i++)
        assert_int_equal(lines_with(rows[i].line), 1);
    assert_serves("3", 3);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    shell("rm -r *");
}

/* A version that is a link to a foreign file: the log may quote its contents, answers may not. */
static void answers_do_not_quote_foreign_files(void **state)
{
    (void)state;
    static const char *const texts[] = {"hunter2:x:0:0", "{\"class_name\": \"hunter2\", \"config\": {}}",
                                        "{\"hunter2\": \"hunter2\"}",
                                        "{\"class_name\": \"LSTM\", \"config\": {\"units\": \"hunter2\"}}"};
    publish("1", 1);
    start("");
    for (size_t i = 0; i <= sizeof texts / sizeof *texts; i++) {
        char line[80], version[24];
        snprintf(version, sizeof version, "%zu", i + 2);
        snprintf(line, sizeof line, "version %s cannot be loaded, version 1 serves on: ", version);
        if (i < sizeof texts / sizeof *texts) {
            write_file("secret", texts[i], strlen(texts[i]));
            shell("mkdir new && ln -s ../secret new/model.json && mv new %s", version);
        } else {
            write_file("secret", "\22\0\0\0\0\0\0\0{\"hunter2\": hunter2", 26);
            shell("cp -r 1 new && ln -sf ../secret new/weights.safetensors && mv new %s", version);
        }
        load_anew();
        wait_line(line);
        await_page(&server, "/v1/models/m", version, true);
        await_page(&server, "/v1/models/m", "hunter2", false);
        await_page(&server, "/v1/models/m", folder, false);
        await_page(&server, "/metrics", "hunter2", false);
        await_page(&server, "/metrics", folder, false);
    }
    assert_true(lines_with("hunter2") >= 3);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    shell("rm -r *");
}

/* jansson would need a gigabyte for it. */
static void large_configurations_take_little_memory(void **state)
{
    (void)state;
    enum { BYTES = 15 << 20 };
    char *text = malloc(BYTES);
    publish("1", 1);
    start("");
    long before = daemon_rss_kib(&server), after = 0;
    for (size_t i = 0; i < BYTES; i++)
        text[i] = "{},"[i % 3];
    *text = '[';
    shell("mkdir 2");
    write_file("2/model.json", text, BYTES);
    free(text);
    load_anew();
    wait_line("2/model.json: expected JSON of at most 262144 values");
    for (double end = now_ms() + 60000; (after = daemon_rss_kib(&server)) > before + 4096 && now_ms() < end;)
        sleep_ms(20);
    print_message("%ld KiB before, %ld KiB after\n", before, after);
    if (!SANITIZED)
        assert_true(after <= before + 4096);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    shell("rm -r *");
}

static int make_folder(void **state)
{
    char path[128];
    (void)state;
    if (!mkdtemp(folder))
        return 1;
    path_of("", path, sizeof path);
    return mkdir(path, 0755);
}

static int remove_folder(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_that_are_not_finite_are_refused),
        cmocka_unit_test(a_removed_version_makes_the_next_lower_one_serve),
        cmocka_unit_test(faults_of_files_are_logged_once),
        cmocka_unit_test(answers_do_not_quote_foreign_files),
        cmocka_unit_test(large_configurations_take_little_memory),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
