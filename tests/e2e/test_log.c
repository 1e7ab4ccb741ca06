/* The log: the content of its lines, secrets that are not in them, and requests that do not wait for its reader. */
#include "e2e.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

static struct daemon server;

/* Wait for the line of a request and parse it; json_decref() the result. */
static json_t *line_of(const char *event, const char *id)
{
    char wanted[128];
    snprintf(wanted, sizeof wanted, "\"message\": \"%s\", \"id\": \"%s\"", event, id);
    for (double end = now_ms() + 20000; now_ms() < end; sleep_ms(5)) {
        char *log = daemon_log(&server), *at = strstr(log, wanted);
        if (at && strchr(at, '\n')) {
            *strchr(at, '\n') = 0;
            while (at > log && at[-1] != '\n')
                at--;
            json_t *line = json_loads(at, 0, NULL);
            free(log);
            assert_non_null(line);
            return line;
        }
        free(log);
    }
    fail_msg("no line with %s", wanted);
    return NULL;
}

static struct reply request(const char *id, const char *method, const char *path, const char *body)
{
    char header[64];
    snprintf(header, sizeof header, "X-Request-Id: %s", id);
    return http_request(&server, method, path, body, (const char *const[]){header, NULL});
}

static void assert_text(const json_t *line, const char *key, const char *value)
{
    const char *found = json_string_value(json_object_get(line, key));
    if (!found || strcmp(found, value))
        fail_msg("%s: expected %s, found %s", key, value, found ? found : "nothing");
}

static void errors_have_their_code(void **state)
{
    (void)state;
    static const struct {
        const char *id, *method, *path, *body, *code;
        int status;
    } rows[] = {
        {"e1", "POST", "/predict", "{", "invalid_json", 400},
        {"e2", "GET", "/nowhere", NULL, "not_found", 404},
        {"e3", "DELETE", "/livez", NULL, "method_not_allowed", 405},
        {"e4", "POST", "/v1/models/none:step", "{}", "model_not_found", 404},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = request(rows[i].id, rows[i].method, rows[i].path, rows[i].body);
        assert_int_equal(reply.status, rows[i].status);
        reply_free(&reply);
        json_t *line = line_of("request", rows[i].id);
        assert_text(line, "code", rows[i].code);
        assert_int_equal(json_integer_value(json_object_get(line, "status")), rows[i].status);
        json_decref(line);
    }
    struct reply reply = request("good", "POST", "/predict", "{\"instances\": [[[1]]]}");
    reply_free(&reply);
    json_t *line = line_of("request", "good");
    assert_null(json_object_get(line, "code"));
    json_decref(line);
    assert_true(metric(&server, "cellserve_requests_total{route=\"/livez\",model=\"\",status=\"405\"}") == 1);
}

static void streams_are_logged_at_start_and_end(void **state)
{
    (void)state;
    struct reply reply =
        http_request(&server, "POST", "/predict", "{\"instances\": [[[1], [2], [3]]], \"return_sequences\": true}",
                     (const char *const[]){"X-Request-Id: s1", "Accept: text/event-stream", NULL});
    assert_int_equal(reply.status, 200);
    json_t *line = line_of("stream", "s1");
    assert_text(line, "path", "/predict");
    assert_text(line, "model", "m");
    assert_int_equal(json_integer_value(json_object_get(line, "status")), 200);
    assert_null(json_object_get(line, "bytes_out"));
    json_decref(line);
    line = line_of("request", "s1");
    assert_int_equal(json_integer_value(json_object_get(line, "bytes_out")), reply.bytes);
    assert_int_equal(json_integer_value(json_object_get(line, "timesteps")), 3);
    json_decref(line);
    reply_free(&reply);
}

static void session_ids_are_hashed(void **state)
{
    (void)state;
    static const struct {
        const char *id, *method, *path;
    } rows[] = {{"i1", "GET", "/sessions/secret-1"},        {"i2", "DELETE", "/sessions/secret-1"},
                {"i3", "GET", "/sessions/secret-2"},        {"i4", "POST", "/sessions/secret-1"},
                {"i5", "GET", "/sessions/secret-1/states"}, {"i6", "GET", "//sessions/secret-1%zz"},
                {"i7", "GET", "/%73essions/secret%2D1"}};
    char hash[7][64];
    struct reply reply = http_post(&server, "/predict", "{\"session\": \"secret-1\", \"instances\": [[[1]]]}");
    reply_free(&reply);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        reply = request(rows[i].id, rows[i].method, rows[i].path, rows[i].method[0] == 'P' ? "{}" : NULL);
        reply_free(&reply);
        json_t *line = line_of("request", rows[i].id);
        snprintf(hash[i], sizeof hash[i], "%s", json_string_value(json_object_get(line, "path")));
        assert_int_equal(strlen(hash[i]), strlen("/sessions/#") + 16);
        json_decref(line);
    }
    assert_string_equal(hash[0], hash[1]);
    assert_string_equal(hash[0], hash[3]);
    assert_string_equal(hash[0], hash[6]);
    assert_string_not_equal(hash[0], hash[2]);
    assert_string_not_equal(hash[0], hash[4]);
    char *log = daemon_log(&server);
    assert_null(strstr(log, "secret-"));
    free(log);
}

/* Start a server whose standard error is a pipe, which is read only until the server is ready. */
static int start_unread(struct daemon *daemon)
{
    int ends[2];
    char text[8192] = "";
    size_t used = 0;
    const char *binary = getenv("CELLSERVE_BINARY"), *url = NULL;
    *daemon = (struct daemon){.port = 0};
    snprintf(daemon->config_path, sizeof daemon->config_path, "/tmp/cellserve-test-log-%d.json", (int)getpid());
    FILE *file = fopen(daemon->config_path, "w");
    fputs(small_config(1, 2, ""), file);
    fclose(file);
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    daemon->pid = fork();
    if (!daemon->pid) {
        end_with_the_test();
        dup2(ends[1], 2);
        execl(binary ? binary : BINARY, "cellserve", "serve", "--config", daemon->config_path, "--port", "0", "--host",
              "127.0.0.1", NULL);
        _exit(127);
    }
    close(ends[1]);
    struct pollfd poller = {.fd = ends[0], .events = POLLIN};
    while (!(url = strstr(text, "is ready at http://")) || !strchr(url, '\n')) {
        ssize_t n = poll(&poller, 1, 60000) > 0 ? read(ends[0], text + used, sizeof text - used - 1) : 0;
        if (n <= 0)
            fail_msg("the server does not come up: %s", text);
        used += (size_t)n;
        text[used] = 0;
    }
    url += strlen("is ready at ");
    snprintf(daemon->url, sizeof daemon->url, "%.*s", (int)strcspn(url, " "), url);
    daemon->port = atoi(strrchr(daemon->url, ':') + 1);
    return ends[0];
}

/* A path of 1500 bytes makes a long line: 60 lines fill the pipe, 900 also the ring. */
static void requests_do_not_wait_for_a_log_that_is_not_read(void **state)
{
    (void)state;
    struct daemon unread;
    int pipe_end = start_unread(&unread), fd = raw_connect(&unread);
    char head[2048], path[1501], answer[65536];
    memset(path, 'x', 1500);
    path[1500] = 0;
    int n = sprintf(head, "GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n", path);
    for (int batch = 0; batch < 100; batch++) {
        size_t answered = 0, used = 0;
        for (int i = 0; i < 10; i++)
            raw_send(fd, head, (size_t)n);
        for (double end = now_ms() + 60000; answered < 10 && now_ms() < end;) {
            used += raw_read(fd, answer + used, sizeof answer - used, 1);
            answered = 0;
            for (const char *at = answer; (at = strstr(at, "HTTP/1.1 404")); at++)
                answered++;
        }
        if (answered != 10) {
            kill(unread.pid, SIGKILL);
            fail_msg("batch %d: %zu of 10 requests were answered", batch, answered);
        }
        raw_read(fd, answer, sizeof answer, 1); /* the end of the tenth */
    }
    close(fd);
    struct reply reply = http_get(&unread, "/livez");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_true(metric(&unread, "cellserve_log_lines_dropped_total") > 50);
    assert_int_equal(daemon_stop(&unread, SIGINT), 0); /* which waits for a minute at most */
    close(pipe_end);
}

/* Run a server that cannot start; returns its standard error, which the caller frees. */
static char *fatal(const char *config, const char *more)
{
    char command[512], path[64], *text = calloc(1, 8192);
    snprintf(path, sizeof path, "/tmp/cellserve-test-fatal-%d.json", (int)getpid());
    FILE *file = fopen(path, "w");
    fputs(config, file);
    fclose(file);
    const char *binary = getenv("CELLSERVE_BINARY");
    snprintf(command, sizeof command, "%s serve --config %s --port 0 %s 2>&1", binary ? binary : BINARY, path, more);
    FILE *out = popen(command, "r");
    size_t n = fread(text, 1, 8191, out);
    text[n] = 0;
    assert_int_equal(pclose(out) >> 8, 1);
    unlink(path);
    return text;
}

static void problems_at_start_are_lines_of_the_log(void **state)
{
    (void)state;
    static const char bad[] =
        "{\"models\": [{\"name\": \"m\", \"input_size\": 1, \"layer\": {\"class_name\": \"LSTM\", "
        "\"config\": {\"units\": 2, \"dtype\": \"float64\"}}}, {\"name\": \"n\", \"path\": \"/no/such\"}]}";
    char *text = fatal(bad, "");
    assert_non_null(strstr(text, "warning: "));
    assert_non_null(strstr(text, "\n/no/such: "));
    free(text);
    size_t warnings = 0, errors = 0;
    text = fatal(bad, "--log json");
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
        json_t *json = json_loads(line, 0, NULL);
        if (!json)
            fail_msg("no JSON: %s", line);
        const char *level = json_string_value(json_object_get(json, "level"));
        warnings += !strcmp(level, "warn");
        errors += !strcmp(level, "error") && strstr(json_string_value(json_object_get(json, "message")), "/no/such: ");
        json_decref(json);
    }
    free(text);
    assert_int_equal(warnings, 1);
    assert_int_equal(errors, 1);
    text = fatal("{\"nodels\": []}", "--log json"); /* an error before the log's thread starts */
    assert_true(*text == '{' && strstr(text, "/nodels"));
    free(text);
}

static int start(void **state)
{
    (void)state;
    daemon_start(&server, small_config(1, 2, ""), (const char *const[]){"--log", "json", NULL});
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return daemon_stop(&server, SIGTERM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_their_code),
        cmocka_unit_test(streams_are_logged_at_start_and_end),
        cmocka_unit_test(session_ids_are_hashed),
        cmocka_unit_test(requests_do_not_wait_for_a_log_that_is_not_read),
        cmocka_unit_test(problems_at_start_are_lines_of_the_log),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
