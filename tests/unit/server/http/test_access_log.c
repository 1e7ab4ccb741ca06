/* access_log.c: the log's lines of requests, without a socket. */
#include "server/api/routes.h"
#include "server/base/log.h"
#include "server/http/access_log.h"
#include "server/run/server.h"
#include "tests/unit/unit.h"

#include <jansson.h>
#include <unistd.h>

static struct settings settings;
static struct server server;

static void route(struct request *request, const char *method, const char *target)
{
    assert_true(request_init(request, &server.services, target));
    request->route = route_none();
    snprintf(request->head.method, sizeof request->head.method, "%s", method);
    snprintf(request->head.id, sizeof request->head.id, "id-1");
    route_request(request);
}

/* Redirect standard error to a file. */
static int file, saved;

static void capture(const char *format, const char *level)
{
    char path[] = "/tmp/cellserve-log-XXXXXX";
    file = mkstemp(path);
    assert_true(file >= 0);
    unlink(path);
    saved = dup(2);
    dup2(file, 2);
    log_setup(format, level);
}

/* Restore standard error, and read the file; returns its number of lines. */
static int captured(char *text, size_t size)
{
    dup2(saved, 2);
    close(saved);
    ssize_t n = pread(file, text, size - 1, 0);
    assert_true(n >= 0);
    text[n] = 0;
    close(file);
    int lines = 0;
    for (const char *p = text; *p; p++)
        lines += *p == '\n';
    return lines;
}

static void log_lines_cannot_be_forged(void **state)
{
    (void)state;
    char text[4096];
    struct request request;
    route(&request, "POST", "/predict");
    snprintf(request.head.id, sizeof request.head.id, "a\"b\nlevel=info forged");
    request.answer.status = 200;
    capture("json", "info");
    log_request(&request);
    log_setup("text", "warn");
    log_request(&request);
    log_line(LOG_INFO, "not shown");
    log_line(LOG_READY, "shown %d", 1);
    log_setup("text", "info");
    log_request(&request);
    assert_int_equal(captured(text, sizeof text), 3);
    *strchr(text, '\n') = 0;
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "id")), "a\"b\nlevel=info forged");
    json_decref(json);
    const char *second = text + strlen(text) + 1;
    assert_non_null(strstr(second, "info shown 1\n"));
    assert_non_null(strstr(second, " event=request id=\"a\\\"b\\u000alevel=info forged\" method=POST path=/predict "));
    request_close(&request);
}

static long long number_of(const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    if (!json_is_integer(value))
        fail_msg("%s is no number", key);
    return json_integer_value(value);
}

static void a_prediction_has_its_numbers(void **state)
{
    (void)state;
    char text[4096];
    struct request request;
    route(&request, "POST", "/predict");
    request.answer.status = 504;
    request.answer.code = "deadline_exceeded";
    request.body_bytes = 21;
    request.answer.text_bytes = 34;
    request.rows = 5;
    request.timesteps = 60;
    request.timing.started = 1;
    request.timing.queue = 1000;
    request.timing.decode = 2000;
    request.timing.compute = 3999;
    request.timing.encode = 4000;
    capture("json", "info");
    log_request(&request);
    assert_int_equal(captured(text, sizeof text), 1);
    json_t *json = json_loads(text, 0, NULL);
    assert_non_null(json);
    static const char *const strings[][2] = {{"level", "warn"},  {"message", "request"}, {"id", "id-1"},
                                             {"method", "POST"}, {"path", "/predict"},   {"code", "deadline_exceeded"}};
    for (size_t i = 0; i < sizeof strings / sizeof *strings; i++)
        assert_string_equal(json_string_value(json_object_get(json, strings[i][0])), strings[i][1]);
    static const struct {
        const char *key;
        long long value;
    } numbers[] = {{"status", 504}, {"bytes_in", 21}, {"bytes_out", 34}, {"rows", 5},     {"timesteps", 60},
                   {"queue_us", 1}, {"decode_us", 2}, {"compute_us", 3}, {"encode_us", 4}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        assert_int_equal(number_of(json, numbers[i].key), numbers[i].value);
    assert_true(number_of(json, "total_us") >= 0);
    json_decref(json);
    request_close(&request);
}

/* Probes and refusals are frequent, so their level is debug. Probes with errors and other requests have level info. */
static void levels_are_those_of_the_request(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target;
        int status;
        int64_t started;
        const char *level;
    } rows[] = {{"GET", "/livez", 200, 0, "debug"},    {"GET", "/readyz", 503, 0, "debug"},
                {"GET", "/metrics", 200, 0, "debug"},  {"POST", "/livez", 405, 0, "info"},
                {"GET", "/v1/models", 200, 0, "info"}, {"GET", "/nothing", 404, 0, "info"},
                {"POST", "/predict", 200, 9, "info"},  {"POST", "/predict", 503, 0, "debug"},
                {"POST", "/predict", 503, 9, "warn"},  {"POST", "/predict", 500, 9, "warn"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char text[4096], want[32];
        struct request request;
        route(&request, rows[i].method, rows[i].target);
        request.answer.status = rows[i].status;
        request.timing.started = rows[i].started;
        capture("text", "debug");
        log_request(&request);
        assert_int_equal(captured(text, sizeof text), 1);
        snprintf(want, sizeof want, "Z %s event=request ", rows[i].level);
        if (!strstr(text, want))
            fail_msg("%s %s %d: no \"%s\" in %s", rows[i].method, rows[i].target, rows[i].status, want, text);
        capture("text", "error");
        log_request(&request);
        assert_int_equal(captured(text, sizeof text), 0);
        request_close(&request);
    }
}

static void a_stream_is_logged_when_it_begins(void **state)
{
    (void)state;
    char text[4096];
    struct request request;
    route(&request, "POST", "/predict");
    request.answer.status = 200;
    capture("text", "info");
    log_stream(&request);
    assert_int_equal(captured(text, sizeof text), 1);
    assert_non_null(
        strstr(text, " info event=stream id=id-1 method=POST path=/predict status=200 bytes_in=0 total_us="));
    capture("text", "warn");
    log_stream(&request);
    assert_int_equal(captured(text, sizeof text), 0);
    request_close(&request);
}

/* The path that is logged for a request, with "#" and 16 digits instead of a session's id. */
static void logged_path(const char *target, char *path, size_t size)
{
    char text[4096];
    struct request request;
    route(&request, "GET", target);
    request.answer.status = 200;
    capture("text", "info");
    log_request(&request);
    assert_int_equal(captured(text, sizeof text), 1);
    assert_null(strstr(text, "secret"));
    const char *at = strstr(text, " path=");
    assert_non_null(at);
    snprintf(path, size, "%.*s", (int)strcspn(at + 6, " "), at + 6);
    request_close(&request);
}

static void ids_of_sessions_are_not_in_the_log(void **state)
{
    (void)state;
    char one[80], again[80], other[80], astray[80];
    access_log_setup();
    logged_path("/sessions/secret-1", one, sizeof one);
    logged_path("/sessions/secret-1", again, sizeof again);
    logged_path("/sessions/secret-2", other, sizeof other);
    logged_path("/prefix/sessions/secret-1/x", astray, sizeof astray);
    assert_int_equal(strlen(one), strlen("/sessions/#") + 16);
    assert_int_equal(strspn(one + strlen("/sessions/#"), "0123456789abcdef"), 16);
    assert_string_equal(one, again);
    assert_string_not_equal(one, other);
    assert_memory_equal(astray, "/sessions/#", strlen("/sessions/#"));
}

int main(void)
{
    settings_init(&settings);
    server_init(&server, &settings, &vec_c, 1);
    server.lifecycle.state = SERVER_READY;
    server.memory.limit = 1 << 24;
    models_init(&server.models);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_lines_cannot_be_forged), cmocka_unit_test(a_prediction_has_its_numbers),
        cmocka_unit_test(levels_are_those_of_the_request), cmocka_unit_test(a_stream_is_logged_when_it_begins),
        cmocka_unit_test(ids_of_sessions_are_not_in_the_log)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    settings_close(&settings);
    return failed;
}
