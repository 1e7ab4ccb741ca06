/* The admin listener, /debug, and traces. */
#include "e2e.h"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static long status_of(const struct daemon *daemon, const char *path)
{
    struct reply reply = http_get(daemon, path);
    long status = reply.status;
    reply_free(&reply);
    return status;
}

static void admin_routes_are_only_on_the_admin_port(void **state)
{
    (void)state;
    struct daemon daemon;
    daemon_start(&daemon, small_config(2, 3, ", \"admin\": {\"port\": 0}"), NULL);
    struct daemon admin = admin_of(&daemon);
    assert_string_not_equal(admin.url, daemon.url);
    static const struct {
        const char *path;
        long main, admin;
    } rows[] = {{"/metrics", 404, 200}, {"/debug", 404, 200},     {"/livez", 200, 200},
                {"/readyz", 200, 200},  {"/v1/models", 200, 404}, {"/", 200, 404}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(status_of(&daemon, rows[i].path), rows[i].main);
        assert_int_equal(status_of(&admin, rows[i].path), rows[i].admin);
    }
    assert_true(metric(&admin, "cellserve_workers") >= 1);
    assert_int_equal(daemon_stop(&daemon, SIGTERM), 0);
}

static void the_socket_is_its_owners(void **state)
{
    (void)state;
    struct daemon daemon;
    char path[64], more[128];
    struct stat info;
    snprintf(path, sizeof path, "/tmp/cellserve-test-%d.sock", (int)getpid());
    snprintf(more, sizeof more, ", \"admin\": {\"socket\": \"%s\"}", path);
    daemon_start(&daemon, small_config(2, 3, more), NULL);
    assert_int_equal(stat(path, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    CURL *curl = curl_easy_init();
    long status = 0;
    FILE *nothing = fopen("/dev/null", "w");
    struct curl_slist *fields = *daemon.key ? curl_slist_append(NULL, "X-API-Key: suite") : NULL;
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, fields);
    curl_easy_setopt(curl, CURLOPT_URL, "http://localhost/debug");
    curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, path);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, nothing);
    assert_int_equal(curl_easy_perform(curl), CURLE_OK);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    assert_int_equal(status, 200);
    curl_easy_cleanup(curl);
    curl_slist_free_all(fields);
    fclose(nothing);
    assert_int_equal(daemon_stop(&daemon, SIGTERM), 0);
    assert_int_not_equal(stat(path, &info), 0); /* the socket file is removed */
}

/* Without an admin listener /debug needs a key with the scope admin, so without keys it is forbidden. */
static void debug_is_forbidden_without_keys(void **state)
{
    (void)state;
    plain_alone("it is about a server without keys");
    struct daemon daemon;
    daemon_start(&daemon, small_config(2, 3, ""), NULL);
    struct reply reply = http_get(&daemon, "/debug");
    assert_error(&reply, 403, "forbidden", NULL);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
}

static void debug_tells_what_the_server_does(void **state)
{
    (void)state;
    struct daemon daemon;
    daemon_start(&daemon, small_config(2, 3, ", \"admin\": {\"port\": 0}, \"limits\": {\"max_queue\": 77}"), NULL);
    struct daemon admin = admin_of(&daemon);
    json_decref(ok(http_post(&daemon, "/predict", "{\"session\": \"s\", \"instances\": [[[1, 2]]]}")));
    json_decref(ok(http_post(&daemon, "/predict", "{\"session\": \"t\", \"instances\": [[[1, 2]]]}")));
    json_t *debug = ok(http_get(&admin, "/debug"));
    static const char *const names[] = {"build",    "state",       "settings", "threads", "queues",
                                        "sessions", "connections", "memory",   "models"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_non_null(json_object_get(debug, names[i]));
    assert_int_equal(json_integer_value(json_object_get(json_object_get(debug, "settings"), "limits.max_queue")), 77);
    assert_int_equal(json_integer_value(json_object_get(json_object_get(debug, "sessions"), "m")), 2);
    assert_true(json_array_size(json_object_get(debug, "threads")) >= 3);
    assert_string_equal(json_string_value(json_object_get(debug, "state")), "ready");
    json_t *model = json_array_get(json_object_get(debug, "models"), 0);
    assert_int_equal(json_integer_value(json_object_get(model, "success")), 2);
    json_decref(debug);
    kill(daemon.pid, SIGUSR1);
    char *log = daemon_log_with(&daemon, "debug: \"memory\"");
    assert_non_null(strstr(log, "debug: \"settings\": {"));
    free(log);
    assert_int_equal(daemon_stop(&daemon, SIGTERM), 0);
}

/* The page and the log show addresses of Redis without the password, also an address that is longer than what they show. */
static void debug_masks_passwords(void **state)
{
    (void)state;
    static char longest[2048] = "redis://";
    for (int i = 0; i < 350; i++) /* of 1024 bytes and more */
        strcat(longest, i == 100 ? ":" : i < 100 ? "%75" : "%53");
    strcat(longest, "@127.0.0.1:1");
    const char *const rows[][3] = {{"redis://us:pass-4711@127.0.0.1:1/2", "pass-4711", "redis://***@127.0.0.1:1/2"},
                                   {"redis+sentinel://:pass-4711@127.0.0.1:1,127.0.0.1:2/main", "pass-4711",
                                    "redis+sentinel://***@127.0.0.1:1,127.0.0.1:2/main"},
                                   {longest, "%53%53", "redis://***"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct daemon daemon;
        daemon_start(&daemon, small_config(2, 3, ", \"admin\": {\"port\": 0}"),
                     (const char *const[]){"--sessions-store", rows[i][0], NULL});
        struct daemon admin = admin_of(&daemon);
        struct reply reply = http_get(&admin, "/debug");
        json_t *settings = json_object_get(reply.json, "settings");
        assert_string_equal(json_string_value(json_object_get(settings, "sessions.store")), rows[i][2]);
        assert_null(strstr(reply.body, rows[i][1]));
        reply_free(&reply);
        kill(daemon.pid, SIGUSR1);
        char *log = daemon_log_with(&daemon, "debug: \"memory\"");
        assert_null(strstr(log, rows[i][1]));
        free(log);
        assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    }
}

/* ---- traces ---- */

static void traces_are_continued(void **state)
{
    (void)state;
    static const struct {
        const char *sent, *answer; /* NULL: none */
    } rows[] = {
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "00-4bf92f3577b34da6a3ce929d0e0e4736-"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "00-4bf92f3577b34da6a3ce929d0e0e4736-"},
        {"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", "00-4bf92f3577b34da6a3ce929d0e0e4736-"},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more", NULL},
        {"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL},
        {"00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", NULL},
        {"00-00000000000000000000000000000000-00f067aa0ba902b7-01", NULL},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01", NULL},
        {"00-4bf92f3577b34da6a3ce929d0e0e4736", NULL},
    };
    struct daemon daemon;
    daemon_start(&daemon, small_config(2, 3, ""), NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char line[128];
        const char *const headers[] = {line, NULL};
        snprintf(line, sizeof line, "traceparent: %s", rows[i].sent);
        struct reply reply = http_request(&daemon, "GET", "/v1/models", NULL, headers);
        assert_int_equal(reply.status, 200);
        const char *found = strstr(reply.headers, "traceresponse: ");
        assert_int_equal(!found, !rows[i].answer);
        if (found) {
            assert_memory_equal(found + 15, rows[i].answer, strlen(rows[i].answer));
            assert_memory_equal(found + 15 + 52, i == 1 ? "-00\r\n" : "-01\r\n", 5);
            assert_int_not_equal(strncmp(found + 15 + 36, "00f067aa0ba902b7", 16), 0); /* the server has its own span
                                                                                          id */
        }
        reply_free(&reply);
    }
    free(daemon_log_with(&daemon, "trace_id=4bf92f3577b34da6a3ce929d0e0e4736"));
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(admin_routes_are_only_on_the_admin_port),
        cmocka_unit_test(the_socket_is_its_owners),
        cmocka_unit_test(debug_is_forbidden_without_keys),
        cmocka_unit_test(debug_tells_what_the_server_does),
        cmocka_unit_test(debug_masks_passwords),
        cmocka_unit_test(traces_are_continued),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
