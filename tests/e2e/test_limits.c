/* Limits: each is reached, gives its status, and does not harm the server. */
#include "e2e.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

/* A model so slow that a long sequence keeps a worker busy. */
static const char slow_model[] =
    "{\"name\": \"m\", \"input_size\": 1, \"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 512, "
    "\"recurrent_initializer\": \"glorot_uniform\"}}}";

static void start(struct daemon *server, const char *more, const char *const *arguments)
{
    char config[2048];
    snprintf(config, sizeof config, "{\"models\": [%s]%s}", slow_model, more);
    daemon_start(server, config, arguments);
}

/* {"instances": [[[1], [1], …]]} */
static char *long_request(size_t rows, size_t timesteps)
{
    char *text = malloc(64 + rows * (timesteps * 4 + 4)), *at = text + sprintf(text, "{\"instances\": [");
    for (size_t b = 0; b < rows; b++) {
        at += sprintf(at, "%s[", b ? "," : "");
        for (size_t t = 0; t < timesteps; t++)
            at += sprintf(at, "%s[1]", t ? "," : "");
        *at++ = ']';
    }
    strcpy(at, "]}");
    return text;
}

static int post_raw(const struct daemon *server, const char *body)
{
    char head[256];
    int fd = raw_connect(server), n = snprintf(head, sizeof head,
                                               "POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                                               "Content-Length: %zu\r\n\r\n",
                                               strlen(body));
    raw_send(fd, head, (size_t)n);
    raw_send(fd, body, strlen(body));
    return fd;
}

static int status_of(int fd, int timeout_ms, char *answer, size_t size)
{
    raw_read(fd, answer, size, timeout_ms);
    close(fd);
    return strncmp(answer, "HTTP/1.", 7) ? 0 : atoi(answer + 9);
}

static void bodies_rows_and_timesteps_are_limited(void **state)
{
    (void)state;
    struct daemon server;
    start(&server,
          ", \"limits\": {\"max_body_bytes\": 2000, \"max_rows\": 4, \"max_timesteps\": 10, \"max_response_bytes\": "
          "80000}",
          NULL);
    char *body = long_request(5, 1);
    assert_predict_error(&server, body, 413, "too_many_rows", "/instances");
    free(body);
    body = long_request(2, 11);
    assert_predict_error(&server, body, 413, "too_many_timesteps", "/instances/0");
    free(body);
    body = long_request(4, 10);
    struct reply reply = http_post(&server, "/predict", body);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    body[strlen(body) - 1] = 0;
    body = realloc(body, strlen(body) + 100);
    strcat(body, ", \"return_sequences\": true}");
    assert_predict_error(&server, body, 413, "response_too_large", NULL);
    free(body);
    body = long_request(50, 10); /* over max_body_bytes, by its Content-Length */
    reply = http_post(&server, "/predict", body);
    assert_error(&reply, 413, "body_too_large", NULL);
    reply_free(&reply);
    const char *const chunked[] = {"Transfer-Encoding: chunked", NULL}; /* and without a Content-Length */
    reply = http_request(&server, "POST", "/predict", body, chunked);
    assert_error(&reply, 413, "body_too_large", NULL);
    reply_free(&reply);
    free(body);
    reply = http_post(&server, "/v1/models/m:initial_state", "{\"batch_size\": 5}");
    assert_error(&reply, 413, "too_many_rows", "/batch_size");
    reply_free(&reply);
    /* a body that is not complete gzip */
    static const char *const gzip[] = {"Content-Encoding: gzip", NULL};
    reply = http_request(&server, "POST", "/predict", "\x1f\x8b", gzip);
    assert_error(&reply, 400, "bad_encoding", NULL);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Whether an answer says that the queue is full. */
static bool is_refused(int fd)
{
    char answer[4096];
    raw_read(fd, answer, sizeof answer, 60000);
    return !strncmp(answer, "HTTP/1.1 503 ", 13) && strstr(answer, "Retry-After: 1\r\n") &&
           strstr(answer, "\"queue_full\"");
}

/* A worker holds 64 requests at most, and two may wait: of a hundred that all take long the others are refused; so are
   more of them where they come faster than the worker looks. */
static void a_full_queue_is_503_at_once(void **state)
{
    (void)state;
    enum { REQUESTS = 100, HELD = 64, QUEUE = 2 };
    struct daemon server;
    char *body = long_request(1, 20000);
    int fds[REQUESTS], refused = 0;
    bool read[REQUESTS] = {false};
    start(&server, ", \"limits\": {\"max_queue\": 2, \"request_timeout_ms\": 600000}",
          (const char *const[]){"--workers", "1", NULL});
    for (int i = 0; i < REQUESTS; i++)
        fds[i] = post_raw(&server, body);
    /* probes answer while everything is busy */
    struct reply reply = http_get(&server, "/readyz");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    for (double end = now_ms() + 60000; refused < REQUESTS - HELD - QUEUE && now_ms() < end; sleep_ms(5))
        for (int i = 0; i < REQUESTS; i++)
            if (!read[i] && is_readable(fds[i])) {
                read[i] = true;
                assert_true(is_refused(fds[i]));
                refused++;
            }
    assert_in_range(refused, REQUESTS - HELD - QUEUE, REQUESTS - 1);
    for (int i = 0; i < REQUESTS; i++)
        close(fds[i]);
    free(body);
    await_metric(&server, "cellserve_running_requests", 0, 0);
    reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}"); /* and there is room again */
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* The server refuses the request by its head. The client sends its whole body first, and must get the answer, not a
   reset. */
static void a_large_body_that_is_refused_gets_its_answer(void **state)
{
    (void)state;
    struct daemon server;
    enum { BYTES = 8 << 20 };
    char answer[4096], *body = malloc(BYTES);
    start(&server, ", \"limits\": {\"max_body_bytes\": 1000000}", NULL);
    memset(body, ' ', BYTES);
    int fd = raw_connect(&server);
    int n = snprintf(answer, sizeof answer, "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n", BYTES);
    raw_send(fd, answer, (size_t)n);
    for (size_t sent = 0; sent < BYTES; sent += 1 << 16) {
        raw_send(fd, body + sent, 1 << 16);
        sleep_ms(1); /* long after the answer */
    }
    assert_int_equal(status_of(fd, 60000, answer, sizeof answer), 413);
    assert_non_null(strstr(answer, "\"body_too_large\""));
    free(body);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* A request of minutes that has 100 ms. On a loaded machine decoding can take so long that the rest is known to be too
   late: 503, so it is tried again. */
static void a_request_past_its_deadline_is_504(void **state)
{
    (void)state;
    struct daemon server;
    char answer[16384], *body = long_request(64, 3000);
    int expired = 0;
    start(&server, ", \"limits\": {\"request_timeout_ms\": 100}", (const char *const[]){"--workers", "1", NULL});
    for (int i = 0; i < 100 && !expired; i++) {
        int fds[2] = {post_raw(&server, body), post_raw(&server, body)};
        for (int k = 0; k < 2; k++) { /* the second one may expire in the queue */
            int status = status_of(fds[k], 60000, answer, sizeof answer);
            if (status == 504)
                assert_non_null(strstr(answer, "\"deadline_exceeded\""));
            else
                assert_true(status == 503 && strstr(answer, "\"too_late\""));
            expired += status == 504;
        }
    }
    assert_true(expired > 0);
    free(body);
    long status = 0; /* and the worker is free again: a whole request within 100 ms */
    for (double end = now_ms() + 60000; status != 200 && now_ms() < end;) {
        struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}");
        status = reply.status;
        reply_free(&reply);
    }
    assert_int_equal(status, 200);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void bytes_in_flight_are_limited(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, ", \"limits\": {\"max_inflight_bytes\": 100000}", NULL);
    char *body = long_request(40, 1000);
    struct reply reply = http_post(&server, "/predict", body);
    assert_error(&reply, 503, "overloaded", NULL);
    assert_non_null(strstr(reply.headers, "Retry-After: 1\r\n"));
    reply_free(&reply);
    free(body);
    reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    /* nothing was lost from the account: the 16 KiB of the answer with the metrics remain */
    await_metric(&server, "cellserve_inflight_bytes", 0, 65536);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* A connection that has not sent its whole head after a second would make room, so these have sent theirs. The heads have
   been read, so these connections came before the next one, whichever I/O threads have them. */
static void connections_are_limited_but_probes_answer(void **state)
{
    (void)state;
    enum { MOST = 4 };
    struct daemon server;
    int busy[MOST];
    start(&server, ", \"limits\": {\"max_connections\": 4, \"read_timeout_ms\": 600000}", NULL);
    for (int i = 0; i < MOST; i++)
        busy[i] = open_upload(&server);
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}");
    assert_error(&reply, 503, "too_many_connections", NULL);
    assert_non_null(strstr(reply.headers, "Retry-After: 1\r\n"));
    reply_free(&reply);
    reply = http_get(&server, "/readyz");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    for (int i = 0; i < MOST; i++)
        close(busy[i]);
    long status = 503;
    for (double end = now_ms() + 60000; status == 503 && now_ms() < end; sleep_ms(5)) {
        reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}");
        status = reply.status;
        reply_free(&reply);
    }
    assert_int_equal(status, 200);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void slow_clients_are_cut_at_their_deadline(void **state)
{
    (void)state;
    struct daemon server;
    char answer[16384];
    start(&server, ", \"limits\": {\"read_timeout_ms\": 600}", NULL);
    static const char *const beginnings[] = {"", "GET /li", "GET /livez HTTP/1.1\r\nHost: a\r\nX-",
                                             "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\n{\"ins"};
    int fds[4];
    bool open[4] = {true, true, true, true};
    double began = now_ms(), cut[4] = {0};
    for (int i = 0; i < 4; i++) {
        fds[i] = raw_connect(&server);
        raw_send(fds[i], beginnings[i], strlen(beginnings[i]));
    }
    for (int left = 4; left && now_ms() - began < 60000;) { /* a byte now and then, for ever */
        for (int i = 0; i < 4; i++) {
            if (!open[i])
                continue;
            if (i)
                raw_send(fds[i], "a", 1);
            struct pollfd poller = {.fd = fds[i], .events = POLLIN};
            if (poll(&poller, 1, 0) > 0) {
                int status = status_of(fds[i], 60000, answer, sizeof answer);
                /* over TLS, a client that has not sent a whole first line gets nothing */
                if (status != 408 && (i > 1 || !*server.ca))
                    fail_msg("client %d got %d: %s", i, status, answer);
                cut[i] = now_ms() - began;
                open[i] = false;
                left--;
            }
        }
        sleep_ms(50);
    }
    for (int i = 0; i < 4; i++)
        if (open[i] || cut[i] < 500)
            fail_msg("client %d was cut after %.0f ms", i, cut[i]);
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Request an answer of about 15 MB: {"instances": …, "return_sequences": true}. */
static int post_for_long_answer(const struct daemon *server)
{
    char *body = long_request(1, 3000);
    body[strlen(body) - 1] = 0;
    body = realloc(body, strlen(body) + 100);
    strcat(body, ", \"return_sequences\": true}");
    int fd = post_raw(server, body);
    free(body);
    return fd;
}

static void readers_that_take_nothing_are_cut(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, ", \"limits\": {\"read_timeout_ms\": 1000}", NULL);
    raw_receive_bytes = 4096; /* what its kernel takes is to its credit */
    int fd = post_for_long_answer(&server);
    raw_receive_bytes = 0;
    await_readable(fd);
    await_metric(&server, "cellserve_connections", 1, 1); /* the one that asks */
    close(fd);
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void readers_that_vanish_do_no_harm(void **state)
{
    (void)state;
    struct daemon server;
    char first[64];
    start(&server, "", NULL);
    int fd = post_for_long_answer(&server);
    raw_read(fd, first, sizeof first, 60000);
    close(fd);
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* The clients of 3 x 1280000 timesteps, minutes of work: nobody computes them to their end. */
static void vanished_clients_free_their_worker(void **state)
{
    (void)state;
    struct daemon server;
    char *body = long_request(64, 20000);
    start(&server, ", \"limits\": {\"request_timeout_ms\": 3600000}", (const char *const[]){"--workers", "1", NULL});
    for (int i = 0; i < 3; i++) {
        int fd = post_raw(&server, body);
        assert_true(await_running_or_answer(&server, fd));
        close(fd);
    }
    free(body);
    double began = now_ms();
    await_metric(&server, "cellserve_running_requests", 0, 0);
    if (getenv("CELLSERVE_TEST_TIMES"))
        printf("the worker was free after %.0f ms\n", now_ms() - began);
    struct reply reply = http_post(&server, "/predict", "{\"instances\": [[[1]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_rows_and_timesteps_are_limited),
        cmocka_unit_test(a_full_queue_is_503_at_once),
        cmocka_unit_test(a_large_body_that_is_refused_gets_its_answer),
        cmocka_unit_test(a_request_past_its_deadline_is_504),
        cmocka_unit_test(bytes_in_flight_are_limited),
        cmocka_unit_test(connections_are_limited_but_probes_answer),
        cmocka_unit_test(slow_clients_are_cut_at_their_deadline),
        cmocka_unit_test(readers_that_take_nothing_are_cut),
        cmocka_unit_test(readers_that_vanish_do_no_harm),
        cmocka_unit_test(vanished_clients_free_their_worker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
