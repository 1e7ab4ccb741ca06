/* New versions of models during service: by signal, by watching, under load, and with broken files.
   CELLSERVE_TEST_RELOADS sets the number of reloads of the load test. */
#include "e2e.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CLIENTS = 4 };

static struct daemon server;
static char folder[] = "/tmp/cellserve-reload-XXXXXX";

static void write_file(const char *directory, const char *name, const void *bytes, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    fwrite(bytes, 1, n, file);
    fclose(file);
}

/* Publish version v, whose output is v times the last input, by an atomic rename. */
static void publish(const char *model, int v, bool broken)
{
    static const char config[] =
        "{\"class_name\": \"SimpleRNN\", \"config\": {\"units\": 1, \"activation\": \"linear\", \"use_bias\": false}}";
    static const char header[] =
        "{\"cells.0.kernel\": {\"dtype\": \"F32\", \"shape\": [1, 1], \"data_offsets\": [0, 4]}, "
        "\"cells.0.recurrent_kernel\": {\"dtype\": \"F32\", \"shape\": [1, 1], "
        "\"data_offsets\": [4, 8]}}";
    unsigned char bytes[512] = {sizeof header - 1};
    const float kernel = (float)v;
    char draft[128], final[128];
    snprintf(draft, sizeof draft, "%s/%s/draft", folder, model);
    snprintf(final, sizeof final, "%s/%s/%d", folder, model, v);
    mkdir(draft, 0755);
    memcpy(bytes + 8, header, sizeof header - 1);
    memcpy(bytes + 8 + sizeof header - 1, &kernel, sizeof kernel);
    write_file(draft, "model.json", config, sizeof config - 1);
    write_file(draft, "weights.safetensors", bytes, 8 + sizeof header - 1 + (broken ? 3 : 8));
    assert_int_equal(rename(draft, final), 0);
}

static void withdraw(const char *model, int v)
{
    char command[256];
    snprintf(command, sizeof command, "rm -r %s/%s/%d", folder, model, v);
    assert_int_equal(system(command), 0);
}

static void start(bool watch)
{
    char config[512];
    snprintf(config, sizeof config,
             "{\"models\": [{\"name\": \"m\", \"path\": \"%s/m\", \"watch\": %s}], \"log\": {\"level\": \"warn\"}}",
             folder, watch ? "true" : "false");
    daemon_start(&server, config, NULL);
}

/* The version in an answer, whose outputs must be those of this version; 0 for a failed request. */
static int ask(void)
{
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[5], [1]]]}");
    const char *version = json_string_value(json_object_get(reply.json, "version"));
    int v = reply.status == 200 && version ? atoi(version) : 0;
    double number = json_number_value(json_array_get(json_array_get(json_object_get(reply.json, "outputs"), 0), 0));
    reply_free(&reply);
    return v && number == v ? v : 0;
}

/* Until version v answers, or for a minute. */
static void wait_version(int v)
{
    double end = now_ms() + 60000;
    int found = 0;
    while ((found = ask()) != v && now_ms() < end)
        sleep_ms(2);
    assert_int_equal(found, v);
}

static void watched_folders_are_followed(void **state)
{
    (void)state;
    publish("m", 1, false);
    start(true);
    assert_int_equal(ask(), 1);
    publish("m", 2, false);
    wait_version(2);
    publish("m", 10, true); /* the number counts, not the text: 10 is above 2 */
    await_page(&server, "/v1/models/m", "INVALID_ARGUMENT", true);
    struct reply reply = http_get(&server, "/v1/models/m");
    json_t *versions = json_object_get(reply.json, "model_version_status");
    assert_int_equal(json_array_size(versions), 2);
    assert_string_equal(json_string_value(json_object_get(json_array_get(versions, 0), "version")), "2");
    assert_string_equal(json_string_value(json_object_get(json_array_get(versions, 1), "version")), "10");
    assert_non_null(strstr(reply.body, "\"its data lies beyond the end of the file\""));
    assert_null(strstr(reply.body, folder)); /* clients see neither paths nor content of files */
    reply_free(&reply);
    assert_int_equal(ask(), 2);
    await_page(&server, "/metrics", "\ncellserve_model_reload_failures_total{model=\"m\"} 1\n", true);
    reply = http_get(&server, "/metrics");
    assert_non_null(strstr(reply.body, "\ncellserve_model_reloads_total{model=\"m\"} 1\n"));
    assert_non_null(strstr(reply.body, "\ncellserve_model_reload_failed{model=\"m\",version=\"10\",reason=\"its data "
                                       "lies beyond the end of the file\"} 1\n"));
    assert_null(strstr(reply.body, folder));
    reply_free(&reply);
    char *log = daemon_log_with(&server, "model m: version 10 cannot be loaded, version 2 serves on: ");
    assert_non_null(strstr(log, "data lies beyond the end of the file"));
    assert_non_null(strstr(log, folder));
    free(log);
    withdraw("m", 10);
    publish("m", 10, false);
    wait_version(10);
    await_page(&server, "/metrics", "\ncellserve_model_reload_failed{model=\"m\"} 0\n", true);
    withdraw("m", 10); /* going back is a new version too */
    wait_version(2);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    withdraw("m", 1);
    withdraw("m", 2);
}

static atomic_bool done;
static atomic_int asked;

static void *client(void *argument)
{
    (void)argument;
    uintptr_t failed = 0;
    for (int last = 0; !done;) {
        int v = ask();
        asked++;
        failed += v < last; /* a failure is 0; the version never decreases */
        last = v > last ? v : last;
    }
    return (void *)failed;
}

/* New versions one after the other, under load; how much memory grew by. */
static long reload_often(int first, int times)
{
    long before = daemon_rss_kib(&server);
    for (int v = first; v < first + times; v++) {
        publish("m", v, false);
        kill(server.pid, SIGHUP);
        wait_version(v);
        withdraw("m", v - 1);
    }
    return daemon_rss_kib(&server) - before;
}

/* What leaks grows each time; threads that use their memory for the first time do once. */
static void reloads_under_load_lose_nothing(void **state)
{
    (void)state;
    const char *given = getenv("CELLSERVE_TEST_RELOADS");
    int reloads = given ? atoi(given) : 45, last = 1 + reloads / 3;
    pthread_t clients[CLIENTS];
    publish("m", 1, false);
    start(false);
    done = false;
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&clients[i], NULL, client, NULL), 0);
    reload_often(2, last - 1);
    long grown = 1 << 20;
    for (int i = 0; i < 4 && grown >= 4096; i++, last += reloads)
        grown = reload_often(last + 1, reloads) * !SANITIZED;
    done = true;
    uintptr_t failures = 0;
    for (size_t i = 0; i < CLIENTS; i++) {
        void *failed;
        pthread_join(clients[i], &failed);
        failures += (uintptr_t)failed;
    }
    print_message("%d reloads, %d requests, memory grew by %ld KiB\n", last - 1, (int)asked, grown);
    assert_int_equal(failures, 0);
    assert_true(asked > reloads);
    assert_true(grown < 4096);
    assert_int_equal(daemon_stop(&server, SIGTERM), 0);
    withdraw("m", last);
}

/* A session does not continue with another version of the model. It continues when the same weights are loaded
   again. */
static void sessions_belong_to_their_version(void **state)
{
    (void)state;
    static const char body[] = "{\"session\": \"s\", \"instances\": [[[1]]]}";
    publish("m", 1, false);
    start(false);
    struct reply reply = http_post(&server, "/predict", body);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    publish("m", 2, false);
    kill(server.pid, SIGHUP);
    wait_version(2);
    assert_predict_error(&server, body, 409, "state_incompatible", "/session");
    reply = http_get(&server, "/sessions/s");
    assert_error(&reply, 409, "state_incompatible", "/session");
    reply_free(&reply);
    withdraw("m", 2); /* back to the version of the states */
    kill(server.pid, SIGHUP);
    wait_version(1);
    reply = http_post(&server, "/predict", body);
    assert_int_equal(json_integer_value(json_object_get(reply.json, "step")), 2);
    reply_free(&reply);
    publish("m", 2, false);
    kill(server.pid, SIGHUP);
    wait_version(2);
    reply = http_post(&server, "/predict", "{\"session\": \"s\", \"reset\": true, \"instances\": [[[1]]]}");
    assert_int_equal(reply.status, 200);
    assert_int_equal(json_integer_value(json_object_get(reply.json, "step")), 1);
    reply_free(&reply);
    reply = http_get(&server, "/sessions/s");
    assert_string_equal(json_string_value(json_object_get(reply.json, "version")), "2");
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    withdraw("m", 1);
    withdraw("m", 2);
}

/* A Keras file replaces another; the helper reads both. */
static void a_file_that_is_replaced_is_loaded_on_sighup(void **state)
{
    (void)state;
    char config[512], command[1024];
    snprintf(command, sizeof command, "cp %s/tests/fixtures/file_keras3_keras_rnn_stacked/model.keras %s/f.keras",
             SOURCE_DIR, folder);
    assert_int_equal(system(command), 0);
    snprintf(config, sizeof config, "{\"models\": [{\"name\": \"m\", \"path\": \"%s/f.keras\"}]}", folder);
    daemon_start(&server, config, NULL);
    snprintf(command, sizeof command,
             "cp %s/tests/fixtures/file_keras2_h5_rnn_stacked/model.h5 %s/g.keras && mv "
             "%s/g.keras %s/f.keras",
             SOURCE_DIR, folder, folder, folder);
    assert_int_equal(system(command), 0);
    char *request = read_source_file("tests/fixtures/file_keras2_h5_rnn_stacked/request.json");
    struct reply before = http_post(&server, "/predict", request), after = {.status = 0};
    kill(server.pid, SIGHUP);
    for (double end = now_ms() + 60000; now_ms() < end && (!after.body || !strcmp(after.body, before.body));) {
        reply_free(&after);
        after = http_post(&server, "/predict", request);
        assert_int_equal(after.status, 200);
    }
    assert_string_not_equal(after.body, before.body);
    free(request);
    reply_free(&before);
    reply_free(&after);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static int make_folder(void **state)
{
    char path[128];
    (void)state;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/m", folder);
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
        cmocka_unit_test(watched_folders_are_followed),
        cmocka_unit_test(reloads_under_load_lose_nothing),
        cmocka_unit_test(sessions_belong_to_their_version),
        cmocka_unit_test(a_file_that_is_replaced_is_loaded_on_sighup),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
