/* Encodings, media types and ids of requests, and their entries in metrics and log. */
#include "e2e.h"

#include <signal.h>
#include <unistd.h>

static struct daemon server;

static const char config[] =
    "{\"models\": ["
    "{\"name\": \"first\", \"input_size\": 2, \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 3}}},"
    "{\"name\": \"nested\", \"input_size\": 2, \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 3}}}],"
    " \"limits\": {\"drain_delay_ms\": 0}}";

static json_t *predict(const char *body)
{
    return ok(http_post(&server, "/predict", body));
}

static void gzip_bodies_are_expanded(void **state)
{
    (void)state;
    /* printf '{"instances": [[[1, 2]]]}' | gzip -n */
    static const unsigned char gz[] = {0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0xab, 0x56,
                                       0xca, 0xcc, 0x2b, 0x2e, 0x49, 0xcc, 0x4b, 0x4e, 0x2d, 0x56, 0xb2, 0x52,
                                       0x88, 0x8e, 0x8e, 0x36, 0xd4, 0x51, 0x30, 0x8a, 0x8d, 0x8d, 0xad, 0x05,
                                       0x00, 0x90, 0x40, 0x80, 0x77, 0x19, 0x00, 0x00, 0x00};
    char request[512], answer[8192];
    int fd = raw_connect(&server);
    int n = snprintf(request, sizeof request,
                     "POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Encoding: gzip\r\n"
                     "Content-Length: %zu\r\n\r\n",
                     sizeof gz);
    raw_send(fd, request, (size_t)n);
    raw_send(fd, (const char *)gz, sizeof gz);
    raw_read(fd, answer, sizeof answer, 5000);
    close(fd);
    json_t *plain = predict("{\"instances\": [[[1, 2]]]}"),
           *zipped = json_loads(strstr(answer, "\r\n\r\n") + 4, 0, NULL);
    assert_same(plain, zipped);
    json_decref(plain);
    json_decref(zipped);
    const char *const headers[] = {"Content-Encoding: gzip", NULL}, *const other[] = {"Content-Encoding: br", NULL};
    struct reply reply = http_request(&server, "POST", "/predict", "not gzip at all", headers);
    assert_error(&reply, 400, "bad_encoding", NULL);
    reply_free(&reply);
    reply = http_request(&server, "POST", "/predict", "{}", other);
    assert_error(&reply, 415, "unsupported_encoding", NULL);
    reply_free(&reply);
}

static void metrics_count_requests(void **state)
{
    (void)state;
    json_decref(predict("{\"instances\": [[[1, 2]], [[3, 4]]], \"model\": \"nested\"}"));
    assert_predict_error(&server, "{", 400, "invalid_json", NULL);
    struct reply reply = http_get(&server, "/metrics");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.headers, "text/plain; version=0.0.4"));
    static const char *const wanted[] = {
        "# TYPE cellserve_requests_total counter",
        "cellserve_requests_total{route=\"/predict\",model=\"nested\",status=\"200\"} ",
        "cellserve_requests_total{route=\"/predict\",model=\"\",status=\"400\"} ",
        "cellserve_request_duration_seconds_bucket{route=\"/predict\",model=\"nested\",status=\"2xx\",le=\"+Inf\"} ",
        "cellserve_queue_duration_seconds_count ",
        "cellserve_compute_duration_seconds_sum ",
        "cellserve_batch_rows_bucket{le=\"2\"} ",
        "cellserve_queue_depth 0",
        "cellserve_sessions 0",
        "cellserve_model_load_seconds{model=\"first\",version=\"1\"} ",
        "cellserve_build_info{version=",
        "process_resident_memory_bytes ",
        "process_open_fds ",
        "process_cpu_seconds_total "};
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (!strstr(reply.body, wanted[i]))
            fail_msg("no %s in %s", wanted[i], reply.body);
    reply_free(&reply);
}

static void request_id_and_timing_are_sent(void **state)
{
    (void)state;
    const char *const headers[] = {"X-Request-Id: my-own-17", NULL};
    struct reply reply = http_request(&server, "POST", "/predict", "{\"instances\": [[[1, 2]]]}", headers);
    assert_non_null(strstr(reply.headers, "X-Request-Id: my-own-17\r\n"));
    assert_non_null(strstr(reply.headers, "Server-Timing: queue;dur="));
    assert_non_null(strstr(reply.headers, "compute;dur="));
    reply_free(&reply);
    reply = http_get(&server, "/livez");
    assert_non_null(strstr(reply.headers, "X-Request-Id: "));
    assert_null(strstr(reply.headers, "Server-Timing"));
    reply_free(&reply);
}

static void content_types_of_curl_are_taken(void **state)
{
    (void)state;
    static const char *const good[] = {"Content-Type: application/json; charset=utf-8",
                                       "Content-Type:", "Content-Type: application/x-www-form-urlencoded"};
    for (size_t i = 0; i < 3; i++) {
        const char *const headers[] = {good[i], NULL};
        json_decref(ok(http_request(&server, "POST", "/predict", "{\"instances\": [[[1, 2]]]}", headers)));
    }
    const char *const headers[] = {"Content-Type: text/xml", NULL};
    struct reply reply = http_request(&server, "POST", "/predict", "{\"instances\": [[[1, 2]]]}", headers);
    assert_error(&reply, 415, "unsupported_media_type", NULL);
    reply_free(&reply);
}

static void request_log_line_has_its_fields(void **state)
{
    (void)state;
    const char *const headers[] = {"X-Request-Id: log-me", NULL};
    static const char body[] = "{\"instances\": [[[1, 2]], [[3, 4], [5, 6]]]}";
    json_decref(ok(http_request(&server, "POST", "/predict", body, headers)));
    for (int i = 0; i < 100; i++) {
        char *log = daemon_log(&server), *line = strstr(log, "\"id\": \"log-me\"");
        if (line && strchr(line, '\n')) {
            while (line > log && line[-1] != '\n')
                line--;
            *strchr(line, '\n') = 0;
            json_t *json = json_loads(line, 0, NULL);
            assert_non_null(json);
            assert_string_equal(json_string_value(json_object_get(json, "method")), "POST");
            assert_string_equal(json_string_value(json_object_get(json, "path")), "/predict");
            assert_string_equal(json_string_value(json_object_get(json, "model")), "first");
            assert_int_equal(json_integer_value(json_object_get(json, "status")), 200);
            assert_int_equal(json_integer_value(json_object_get(json, "rows")), 2);
            assert_int_equal(json_integer_value(json_object_get(json, "timesteps")), 3);
            assert_int_equal(json_integer_value(json_object_get(json, "bytes_in")), sizeof body - 1);
            assert_true(json_is_integer(json_object_get(json, "queue_us")));
            assert_true(json_is_integer(json_object_get(json, "compute_us")));
            assert_true(json_is_integer(json_object_get(json, "bytes_out")));
            json_decref(json);
            free(log);
            return;
        }
        free(log);
        sleep_ms(10);
    }
    fail_msg("no log line of the request");
}

static int start(void **state)
{
    (void)state;
    daemon_start(&server, config, (const char *const[]){"--log", "json", NULL});
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
        cmocka_unit_test(gzip_bodies_are_expanded),        cmocka_unit_test(metrics_count_requests),
        cmocka_unit_test(request_id_and_timing_are_sent),  cmocka_unit_test(content_types_of_curl_are_taken),
        cmocka_unit_test(request_log_line_has_its_fields),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
