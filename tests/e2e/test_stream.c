/* Streamed answers: the events have the numbers of the whole answer, and a slow or vanished reader does not affect
   others. */
#include "e2e.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

static const char models[] =
    "{\"models\": ["
    "{\"name\": \"m\", \"input_size\": 2, \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 5}}},"
    "{\"name\": \"echo\", \"input_size\": 8, \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": 8}}},"
    "{\"name\": \"slow\", \"input_size\": 1, \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 512}}},"
    "{\"name\": \"both\", \"input_size\": 2, \"layer\": {\"class_name\": \"Bidirectional\", \"config\": {\"layer\": "
    "{\"class_name\": \"LSTM\", \"config\": {\"units\": 2}}}}}]%s}";

static void start(struct daemon *server, const char *more)
{
    static char config[2048];
    snprintf(config, sizeof config, models, more);
    daemon_start(server, config, NULL);
}

static struct reply post(const struct daemon *server, const char *accept, const char *body)
{
    char header[64];
    snprintf(header, sizeof header, "Accept: %s", accept);
    return http_request(server, "POST", "/predict", body, (const char *const[]){header, NULL});
}

/* Append the outputs of a stream's events to `outputs`. Returns the last event, which the caller frees. */
static json_t *collect(const char *text, bool lines, json_t *outputs)
{
    json_t *last = NULL;
    while (*text) {
        size_t n = strcspn(text, "\n");
        const char *data = lines ? text : !strncmp(text, "data: ", 6) ? text + 6 : NULL;
        json_t *event = data && n ? json_loadb(data, (size_t)(text + n - data), 0, NULL) : NULL;
        if (data && n && !event)
            fail_msg("no JSON: %.*s", (int)n, text);
        json_t *part = json_object_get(event, "outputs");
        if (part) {
            size_t b = (size_t)json_integer_value(json_object_get(event, "row"));
            while (json_array_size(outputs) <= b)
                json_array_append_new(outputs, json_array());
            json_t *row = json_array_get(outputs, b);
            assert_int_equal(json_integer_value(json_object_get(event, "timestep")), json_array_size(row));
            json_array_extend(row, part);
        }
        if (event) {
            json_decref(last);
            last = event;
        }
        text += n + (text[n] == '\n');
    }
    assert_non_null(last);
    return last;
}

/* A request body with sequences of these lengths. */
static char *body_of(const char *model, const char *more, const size_t *steps, size_t rows, size_t features)
{
    size_t total = 0;
    for (size_t b = 0; b < rows; b++)
        total += steps[b];
    char *body = malloc(300 + total * features * 12),
         *at = body + sprintf(body, "{\"model\": \"%s\", %s\"instances\": [", model, more);
    unsigned state = 5;
    for (size_t b = 0; b < rows; b++) {
        at += sprintf(at, b ? ",[" : "[");
        for (size_t t = 0; t < steps[b]; t++)
            for (size_t f = 0; f < features; f++) {
                state = state * 1664525u + 1013904223u;
                at += sprintf(at, "%s%.3f%s",
                              f   ? ","
                              : t ? ",["
                                  : "[",
                              (double)(state >> 8) * 0x1p-24, f + 1 < features ? "" : "]");
            }
        at += sprintf(at, "]");
    }
    strcpy(at, "]}");
    return body;
}

static void check_stream(const struct daemon *server, const char *accept, const char *model, const size_t *steps,
                         size_t rows, size_t features)
{
    char *body = body_of(model, "\"return_sequences\": true, ", steps, rows, features);
    struct reply whole = http_post(server, "/predict", body), streamed = post(server, accept, body);
    assert_int_equal(whole.status, 200);
    assert_int_equal(streamed.status, 200);
    assert_non_null(strstr(streamed.headers, accept));
    assert_non_null(strstr(streamed.headers, "Transfer-Encoding: chunked"));
    json_t *outputs = json_array(), *done = collect(streamed.body, *accept == 'a', outputs);
    if (!json_equal(outputs, json_object_get(whole.json, "outputs")))
        fail_msg("%s: other outputs in a stream", model);
    assert_true(json_is_true(json_object_get(done, "done")));
    assert_true(json_equal(json_object_get(done, "states"), json_object_get(whole.json, "states")));
    if (*accept == 't')
        assert_non_null(strstr(streamed.body, "event: done\ndata: {"));
    json_decref(outputs);
    json_decref(done);
    reply_free(&whole);
    reply_free(&streamed);
    free(body);
}

static void events_add_up_to_the_answer(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    check_stream(&server, "text/event-stream", "m", (const size_t[]){3}, 1, 2);
    check_stream(&server, "application/x-ndjson", "m", (const size_t[]){3, 1, 700}, 3, 2);
    check_stream(&server, "text/event-stream", "m", (const size_t[]){20000, 5}, 2, 2); /* many events */
    check_stream(&server, "application/x-ndjson", "echo", (const size_t[]){3000, 3000}, 2, 8);
    /* without "return_sequences": false, every output is sent */
    struct reply last = post(&server, "application/x-ndjson",
                             "{\"instances\": [[[1,2],[3,4]]], \"return_sequences\": false, \"return_state\": false}");
    assert_int_equal(last.status, 200);
    assert_non_null(strstr(last.body, "{\"row\": 0, \"timestep\": 1, \"outputs\": [["));
    assert_null(strstr(last.body, "\"timestep\": 0"));
    assert_null(strstr(last.body, "states"));
    reply_free(&last);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Errors before the first event are ordinary error answers. */
static void errors_before_the_first_event_are_answers(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    struct reply reply = post(&server, "text/event-stream", "{\"instances\": [[[1]]]}");
    assert_error(&reply, 400, "wrong_shape", "/instances/0/0");
    reply_free(&reply);
    reply = post(&server, "text/event-stream", "{\"instances\": ");
    assert_error(&reply, 400, "invalid_json", NULL);
    reply_free(&reply);
    reply = post(&server, "application/x-ndjson", "{\"model\": \"both\", \"instances\": [[[1,2]]]}");
    assert_error(&reply, 400, "not_streamable", NULL);
    reply_free(&reply);
    reply = post(&server, "text/event-stream", "{\"session\": \"a\", \"step\": 4, \"instances\": [[[1,2]]]}");
    assert_error(&reply, 409, "step_conflict", "/step");
    reply_free(&reply);
    reply = post(&server, "text/event-stream;q=0, application/json", "{\"instances\": [[[1,2]]]}");
    assert_int_equal(reply.status, 200);
    assert_non_null(json_object_get(reply.json, "outputs"));
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void a_session_can_be_streamed(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    static const char first[] = "{\"session\": \"a\", \"step\": 0, \"instances\": [[[1,2],[3,4]],[[5,6]]]}";
    static const char then[] = "{\"session\": \"a\", \"instances\": [[[7,8]],[[9,1],[2,3]]]}";
    struct reply streamed = post(&server, "application/x-ndjson", first);
    assert_int_equal(streamed.status, 200);
    struct reply again = post(&server, "application/x-ndjson", first);
    json_t *a = json_array(), *b = json_array();
    json_t *done = collect(streamed.body, true, a), *done_again = collect(again.body, true, b);
    assert_true(json_equal(a, b));
    assert_true(json_equal(done, done_again));
    assert_int_equal(json_integer_value(json_object_get(done, "step")), 1);
    reply_free(&again);
    again = post(&server, "text/event-stream", then);
    assert_non_null(strstr(again.body, "\"step\": 2"));
    struct reply whole = http_post(&server, "/predict", "{\"instances\": [[[1,2],[3,4],[7,8]],[[5,6],[9,1],[2,3]]]}");
    struct reply stored = http_get(&server, "/sessions/a");
    assert_true(json_equal(json_object_get(whole.json, "states"), json_object_get(stored.json, "states")));
    json_decref(a), json_decref(b), json_decref(done), json_decref(done_again);
    reply_free(&streamed), reply_free(&again), reply_free(&whole), reply_free(&stored);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void a_roll_out_can_be_streamed(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    static const char body[] =
        "{\"model\": \"echo\", \"instances\": [[[1,2,3,4,5,6,7,8]]], \"rollout\": {\"steps\": 3000}}";
    struct reply whole = http_post(&server, "/predict", body), streamed = post(&server, "application/x-ndjson", body);
    json_t *outputs = json_array(), *done = collect(streamed.body, true, outputs);
    assert_true(json_equal(outputs, json_object_get(whole.json, "outputs")));
    assert_true(json_equal(json_object_get(done, "states"), json_object_get(whole.json, "states")));
    json_decref(outputs), json_decref(done);
    reply_free(&whole), reply_free(&streamed);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- readers ---- */

static int open_stream(const struct daemon *server, const char *body)
{
    int fd = raw_post(server, "Accept: application/x-ndjson\r\n", body), room = 65536;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof room); /* the kernel shall not buffer megabytes for a slow
                                                                  reader */
    return fd;
}

/* Wait until only the request for the metrics holds memory. */
static void wait_until_free(const struct daemon *server)
{
    await_metric(server, "cellserve_inflight_bytes", 0, 40000);
}

static const char long_roll[] =
    "{\"model\": \"echo\", \"instances\": [[[1,2,3,4,5,6,7,8]]], \"rollout\": {\"steps\": 65000}}";

/* A stream that must begin within a time; where a loaded machine does not begin it in time, another. */
static int open_hasty_stream(const struct daemon *server, double timeout_ms)
{
    char head[13], fields[80];
    snprintf(fields, sizeof fields, "Accept: application/x-ndjson\r\nX-Request-Timeout-Ms: %.0f\r\n", timeout_ms);
    for (int i = 0; i < 20; i++) {
        int fd = raw_post(server, fields, long_roll);
        await_readable(fd);
        if (recv(fd, head, sizeof head, MSG_PEEK | MSG_WAITALL) == sizeof head && !memcmp(head, "HTTP/1.1 200 ", 13))
            return fd;
        close(fd);
    }
    fail_msg("no stream begins within %.0f ms", timeout_ms);
    return -1;
}

/* Streams that nobody reads, more than a worker holds rows: others are served, memory stays, and whoever reads in the end
   gets everything. */
static void a_slow_reader_delays_nobody_else(void **state)
{
    (void)state;
    struct daemon server;
    enum { READERS = 12, TIMEOUT_MS = 2000 }; /* more than a batch has rows */
    int fds[READERS];
    start(&server, ", \"limits\": {\"request_timeout_ms\": 600000, \"read_timeout_ms\": 600000}, \"batching\": "
                   "{\"max_batch_rows\": 4}");
    fds[0] = open_hasty_stream(&server, TIMEOUT_MS);
    double began = now_ms();
    for (int i = 1; i < READERS; i++)
        fds[i] = open_stream(&server, long_roll);
    for (int i = 0; i < READERS; i++)
        await_readable(fds[i]);
    await_metric(&server, "cellserve_running_requests", 0, 0); /* all are put aside, none is done */
    assert_true(metric(&server, "cellserve_inflight_bytes") < READERS * 3e6);
    for (int i = 0; i < 5; i++) {
        struct reply reply =
            http_post(&server, "/predict", "{\"model\": \"echo\", \"instances\": [[[1,2,3,4,5,6,7,8]]]}");
        assert_int_equal(reply.status, 200);
        reply_free(&reply);
    }
    while (now_ms() < began + TIMEOUT_MS + 200) /* it has begun to be answered in time: no deadline any more */
        sleep_ms(20);
    size_t room = 16 << 20;
    char *text = malloc(room);
    raw_read(fds[0], text, room, 60000);
    char *last = strstr(text, "\"done\": true");
    assert_non_null(last);
    assert_non_null(strstr(text, "\"timestep\": 64999,"));
    free(text);
    for (int i = 0; i < READERS; i++)
        close(fds[i]);
    await_metric(&server, "cellserve_connections", 1, 1); /* the one that asks */
    wait_until_free(&server);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* A reader that takes nothing is disconnected after read_timeout_ms. */
static void a_stuck_reader_is_cut(void **state)
{
    (void)state;
    plain_alone("the relay reads on");
    struct daemon server;
    start(&server, ", \"limits\": {\"read_timeout_ms\": 1000}");
    raw_receive_bytes = 4096; /* bytes that the client's kernel takes count as progress */
    int fd = raw_post(&server, "Accept: application/x-ndjson\r\n", long_roll);
    raw_receive_bytes = 0;
    await_readable(fd);
    await_metric(&server, "cellserve_connections", 1, 1); /* the one that asks */
    wait_until_free(&server);
    close(fd);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* A client disconnects while its stream is being computed. */
static void a_vanished_reader_frees_its_row(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    size_t steps = 60000; /* many seconds */
    char *body = body_of("slow", "\"return_sequences\": false, ", &steps, 1, 1);
    for (int i = 0; i < 3; i++) {
        int fd = open_stream(&server, body);
        if (i)
            await_metric(&server, "cellserve_running_requests", 1, 2);
        close(fd);
    }
    await_metric(&server, "cellserve_running_requests", 0, 0);
    wait_until_free(&server);
    free(body);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Only the last output of a long sequence is asked for: heartbeats are sent before it. */
static void heartbeats_are_sent_before_a_late_output(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, ", \"limits\": {\"heartbeat_ms\": 50}");
    size_t steps = SANITIZED ? 4000 : 12000;
    char *body = body_of("slow", "\"return_sequences\": false, ", &steps, 1, 1);
    struct reply events = post(&server, "text/event-stream", body), lines = post(&server, "application/x-ndjson", body);
    assert_int_equal(events.status, 200);
    assert_true(!strncmp(events.body, ":\n\n", 3));
    assert_true(!strncmp(lines.body, "\n", 1));
    json_t *outputs = json_array();
    assert_non_null(strstr(events.body, "event: done"));
    assert_non_null(strstr(lines.body, "\"done\": true"));
    json_decref(outputs);
    reply_free(&events);
    reply_free(&lines);
    free(body);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Streams still running when the drain timeout ends are ended, with an error event if they are being computed. */
static void a_drain_ends_streams(void **state)
{
    (void)state;
    struct daemon server;
    static char text[1 << 20];
    start(&server, ", \"limits\": {\"drain_delay_ms\": 0, \"drain_timeout_ms\": 300}");
    size_t steps = 60000; /* seconds */
    char *body = body_of("slow", "\"return_sequences\": false, ", &steps, 1, 1);
    int computing = open_stream(&server, body);
    await_metric(&server, "cellserve_running_requests", 1, 1);
    int unread = open_stream(&server, long_roll); /* runs until buffers are full, and then waits for its reader */
    await_readable(unread);
    kill(server.pid, SIGTERM);
    raw_read(computing, text, sizeof text, 60000);
    assert_non_null(strstr(text, "\"code\": \"shutting_down\""));
    assert_int_equal(daemon_wait(&server, 20), 0);
    close(unread);
    close(computing);
    free(body);
}

/* A number that is not finite in the middle of a stream: the last event is the error. */
static void errors_after_the_first_event_are_events(void **state)
{
    (void)state;
    struct daemon server;
    static const char config[] =
        "{\"models\": [{\"name\": \"m\", \"input_size\": 1, \"layer\": {\"class_name\": \"SimpleRNN\", "
        "\"config\": {\"units\": 1, \"activation\": \"linear\", \"kernel_initializer\": \"ones\", "
        "\"recurrent_initializer\": {\"class_name\": \"Constant\", \"config\": {\"value\": 1e10}}}}}]}";
    daemon_start(&server, config, NULL);
    struct reply reply = post(&server, "application/x-ndjson",
                              "{\"session\": \"a\", \"instances\": [[[1]]], \"rollout\": {\"steps\": 100}}");
    assert_int_equal(reply.status, 200);
    json_t *outputs = json_array(), *last = NULL;
    for (const char *at = reply.body; *at; at = strchr(at, '\n') + 1) {
        json_decref(last);
        last = json_loadb(at, strcspn(at, "\n"), JSON_DECODE_ANY, NULL);
        assert_non_null(last);
    }
    assert_string_equal(json_string_value(json_object_get(last, "code")), "nonfinite_output");
    json_decref(outputs);
    json_decref(last);
    reply_free(&reply);
    reply = http_get(&server, "/sessions/a"); /* its states were not stored */
    assert_error(&reply, 404, "session_not_found", NULL);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(events_add_up_to_the_answer),
                                       cmocka_unit_test(errors_before_the_first_event_are_answers),
                                       cmocka_unit_test(a_session_can_be_streamed),
                                       cmocka_unit_test(a_roll_out_can_be_streamed),
                                       cmocka_unit_test(a_slow_reader_delays_nobody_else),
                                       cmocka_unit_test(a_stuck_reader_is_cut),
                                       cmocka_unit_test(a_vanished_reader_frees_its_row),
                                       cmocka_unit_test(heartbeats_are_sent_before_a_late_output),
                                       cmocka_unit_test(a_drain_ends_streams),
                                       cmocka_unit_test(errors_after_the_first_event_are_events)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
