/* Rows of several requests run in one batch: short ones overtake long ones, and each request has its own deadline. */
#include "e2e.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

static const char slow_model[] = "{\"models\": [{\"name\": \"other\", \"input_size\": 1, \"layer\": {\"class_name\": "
                                 "\"GRU\", \"config\": {\"units\": 3}}}, "
                                 "{\"name\": \"m\", \"default\": true, \"input_size\": 1, \"layer\": {\"class_name\": "
                                 "\"LSTM\", \"config\": {\"units\": "
                                 "512}}}], \"limits\": {\"request_timeout_ms\": 600000}%s}";

enum { LONG = SANITIZED ? 1500 : 6000 };

static void start(struct daemon *server, const char *more)
{
    char config[1024];
    snprintf(config, sizeof config, slow_model, more);
    daemon_start(server, config, (const char *const[]){"--workers", "1", NULL});
}

/* Send a request of one row on a new connection. */
static int post_row(const struct daemon *server, size_t timesteps, const char *header)
{
    char *body = malloc(64 + timesteps * 4);
    char *at = body + sprintf(body, "{\"instances\": [[");
    for (size_t t = 0; t < timesteps; t++)
        at += sprintf(at, "%s[1]", t ? "," : "");
    strcpy(at, "]]}");
    int fd = raw_post(server, header, body);
    free(body);
    return fd;
}

static int status_of(int fd, char *answer, size_t size)
{
    raw_read(fd, answer, size, 180000);
    close(fd);
    return strncmp(answer, "HTTP/1.", 7) ? 0 : atoi(answer + 9);
}

/* Whether a short request of a model, sent while a long one of m runs, is answered before it. A machine that stands still
   for a while may lose the difference, so it is tried again with a longer one. */
static bool overtakes(const struct daemon *server, const char *model)
{
    static char answer[65536];
    char body[128];
    bool is = false;
    snprintf(body, sizeof body, "{\"model\": \"%s\", \"instances\": [[[1], [2], [3]]]}", model);
    for (size_t i = 0, timesteps = LONG; i < 5 && !is; i++, timesteps *= 2) {
        int slow = post_row(server, timesteps, "");
        bool runs = await_running_or_answer(server, slow);
        for (int k = 0; k < 3; k++) {
            struct reply reply = http_post(server, "/predict", body);
            assert_int_equal(reply.status, 200);
            reply_free(&reply);
        }
        is = runs && !is_readable(slow);
        if (is)
            assert_int_equal(status_of(slow, answer, sizeof answer), 200);
        else
            close(slow);
    }
    return is;
}

static void short_sequences_overtake_long_ones(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    assert_true(overtakes(&server, "m"));
    /* some chunks had both rows */
    await_metric(&server, "cellserve_batch_rows_sum", metric(&server, "cellserve_batch_rows_count") + 1, 1e9);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* One worker, and a model that keeps it busy: requests of another model run in turn with its chunks. */
static void models_share_a_worker(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    assert_true(overtakes(&server, "other"));
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Without batching one row runs at a time: after a slice of a long request, a short one runs. */
static void one_row_at_a_time_takes_turns(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, ", \"batching\": {\"max_batch_rows\": 1}");
    assert_true(overtakes(&server, "m"));
    double chunks = metric(&server, "cellserve_batch_rows_count");
    await_metric(&server, "cellserve_batch_rows_sum", chunks, chunks);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void a_request_has_its_own_deadline(void **state)
{
    (void)state;
    struct daemon server;
    static char answer[65536];
    int status = 0;
    for (int i = 0; i < 20 && status != 504; i++) {
        start(&server, "");
        status = status_of(post_row(&server, LONG, "X-Request-Timeout-Ms: 10\r\n"), answer, sizeof answer);
        if (status != 504) { /* decoding took so long that the rest was known to be too late */
            assert_int_equal(status, 503);
            assert_int_equal(daemon_stop(&server, SIGINT), 0);
        }
    }
    assert_int_equal(status, 504);
    assert_non_null(strstr(answer, "10 ms (X-Request-Timeout-Ms)"));
    bool beside = false;
    for (size_t i = 0, timesteps = LONG; i < 5 && !beside; i++, timesteps *= 2) {
        int patient = post_row(&server, timesteps, "");
        bool runs = await_running_or_answer(&server, patient);
        int hasty = post_row(&server, timesteps, "X-Request-Timeout-Ms: 10\r\n"); /* work that is known beforehand */
        status = status_of(hasty, answer, sizeof answer);
        beside = status == 503 && runs && !is_readable(patient);
        assert_true(status == 503 || status == 504); /* 504: it waited for 10 ms, or was decoded */
        if (status == 503) {
            assert_non_null(strstr(answer, "\"too_late\""));
            assert_non_null(strstr(answer, "Retry-After: 1\r\n"));
        }
        if (beside)
            assert_int_equal(status_of(patient, answer, sizeof answer), 200);
        else
            close(patient);
    }
    assert_true(beside);
    int wrong = post_row(&server, 1, "X-Request-Timeout-Ms: soon\r\n");
    assert_int_equal(status_of(wrong, answer, sizeof answer), 400);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- waiting for rows ---- */

enum { TRIES = 10 }; /* a machine that stands still may make a batch wait, a wrong server lets each wait */

/* Connections come first: over TLS, handshakes take time. */
static void connect_all(const struct daemon *server, int *fds, int n)
{
    for (int i = 0; i < n; i++)
        fds[i] = raw_connect(server);
}

static void post_on(int fd, const char *body)
{
    char text[256];
    int n = snprintf(text, sizeof text,
                     "POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
                     strlen(body), body);
    raw_send(fd, text, (size_t)n);
}

/* Whether so many requests, sent at once, run as one batch, and before the delay is over. */
static bool run_together(const struct daemon *server, int n, double delay_ms)
{
    char answer[65536];
    int fds[100];
    double rows = metric(server, "cellserve_batch_rows_sum"), batches = metric(server, "cellserve_batch_rows_count");
    connect_all(server, fds, n);
    double began = now_ms();
    for (int i = 0; i < n; i++)
        post_on(fds[i], "{\"instances\": [[[1]]]}");
    for (int i = 0; i < n; i++)
        assert_int_equal(status_of(fds[i], answer, sizeof answer), 200);
    bool soon = now_ms() - began < delay_ms;
    await_metric(server, "cellserve_batch_rows_sum", rows + n, rows + n);
    return soon && metric(server, "cellserve_batch_rows_count") == batches + 1;
}

static void a_request_may_wait_for_rows(void **state)
{
    (void)state;
    enum { DELAY_MS = 500 };
    struct daemon server;
    bool together = false;
    start(&server, ", \"batching\": {\"max_queue_delay_us\": 500000, \"max_batch_rows\": 4}");
    for (int i = 0; i < TRIES && !together; i++)
        together = run_together(&server, 4, DELAY_MS); /* full: nothing to wait for any more */
    assert_true(together);
    double began = now_ms();
    run_together(&server, 1, DELAY_MS);
    assert_true(now_ms() - began > 400);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* A batch may be larger than the usual number of requests of a worker. It waits until it is full. */
static void large_batches_fill(void **state)
{
    (void)state;
    struct daemon server;
    bool together = false;
    start(&server, ", \"batching\": {\"max_queue_delay_us\": 1000000, \"max_batch_rows\": 100}");
    for (int i = 0; i < TRIES && !together; i++)
        together = run_together(&server, 100, 1000);
    assert_true(together);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

enum { HELD = 64, REQUESTS = 70 };

/* Requests of two models, 35 rows of each: no batch is full, but the worker holds as many as it may. Whether these are
   answered before the delay is over. */
static bool answers_when_full(const struct daemon *server)
{
    char answer[65536];
    int fds[REQUESTS], answered = 0;
    connect_all(server, fds, REQUESTS);
    double began = now_ms();
    for (int i = 0; i < REQUESTS; i++)
        post_on(fds[i], i % 2 ? "{\"model\": \"other\", \"instances\": [[[1]]]}" : "{\"instances\": [[[1]]]}");
    for (double end = now_ms() + 60000; answered < HELD && now_ms() < end; sleep_ms(1)) {
        answered = 0;
        for (int i = 0; i < REQUESTS; i++)
            answered += is_readable(fds[i]);
    }
    bool soon = now_ms() - began < 900;
    long cpu = daemon_cpu_ms(server);
    for (int i = 0; i < REQUESTS; i++) /* the last ones wait for the delay */
        assert_int_equal(status_of(fds[i], answer, sizeof answer), 200);
    assert_true(daemon_cpu_ms(server) - cpu < 500);
    return soon;
}

/* A worker that holds as many as it may does not wait for more, and nobody who waits keeps a processor busy. */
static void a_full_worker_does_not_wait(void **state)
{
    (void)state;
    struct daemon server;
    bool soon = false;
    start(&server, ", \"batching\": {\"max_queue_delay_us\": 1000000, \"max_batch_rows\": 40}");
    for (int i = 0; i < TRIES && !soon; i++)
        soon = answers_when_full(&server);
    assert_true(soon);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_sequences_overtake_long_ones), cmocka_unit_test(models_share_a_worker),
        cmocka_unit_test(one_row_at_a_time_takes_turns),      cmocka_unit_test(a_request_has_its_own_deadline),
        cmocka_unit_test(a_request_may_wait_for_rows),        cmocka_unit_test(large_batches_fill),
        cmocka_unit_test(a_full_worker_does_not_wait)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
