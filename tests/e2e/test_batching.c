/* Rows of several requests run in one batch: short ones overtake long ones, and each request has its own deadline. */
#include "e2e.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

static const char slow_model[] = "{\"models\": [{\"name\": \"other\", \"input_size\": 1, \"layer\": {\"class_name\": "
                                 "\"GRU\", \"config\": {\"units\": 3}}}, "
                                 "{\"name\": \"m\", \"default\": true, \"input_size\": 1, \"layer\": {\"class_name\": "
                                 "\"LSTM\", \"config\": {\"units\": "
                                 "512}}}]%s}";

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

static bool answered(int fd, int timeout_ms)
{
    struct pollfd poller = {.fd = fd, .events = POLLIN};
    return poll(&poller, 1, timeout_ms) > 0;
}

static int status_of(int fd, char *answer, size_t size)
{
    raw_read(fd, answer, size, 60000);
    close(fd);
    return strncmp(answer, "HTTP/1.", 7) ? 0 : atoi(answer + 9);
}

static void short_sequences_overtake_long_ones(void **state)
{
    (void)state;
    struct daemon server;
    static char answer[65536];
    start(&server, "");
    int slow = post_row(&server, LONG, "");
    sleep_ms(20);
    int quick = post_row(&server, 3, "");
    assert_true(answered(quick, 30000));
    assert_false(answered(slow, 0));
    assert_int_equal(status_of(quick, answer, sizeof answer), 200);
    assert_int_equal(status_of(slow, answer, sizeof answer), 200);
    /* some chunks had both rows */
    assert_true(metric(&server, "cellserve_batch_rows_sum") > metric(&server, "cellserve_batch_rows_count"));
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* One worker, and a model that keeps it busy: requests of another model run in turn with its chunks. */
static void models_share_a_worker(void **state)
{
    (void)state;
    struct daemon server;
    static char answer[65536];
    start(&server, "");
    int slow = post_row(&server, LONG, "");
    sleep_ms(20);
    for (int i = 0; i < 3; i++) {
        struct reply reply = http_post(&server, "/predict", "{\"model\": \"other\", \"instances\": [[[1], [2]]]}");
        assert_int_equal(reply.status, 200);
        reply_free(&reply);
    }
    assert_false(answered(slow, 0));
    assert_int_equal(status_of(slow, answer, sizeof answer), 200);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Without batching one row runs at a time: after a slice of a long request, a short one runs. */
static void one_row_at_a_time_takes_turns(void **state)
{
    (void)state;
    struct daemon server;
    static char answer[65536];
    start(&server, ", \"batching\": {\"max_batch_rows\": 1}");
    int slow = post_row(&server, LONG, "");
    sleep_ms(20);
    int quick = post_row(&server, 3, "");
    assert_int_equal(status_of(quick, answer, sizeof answer), 200);
    assert_int_equal(status_of(slow, answer, sizeof answer), 200);
    assert_true(metric(&server, "cellserve_batch_rows_sum") == metric(&server, "cellserve_batch_rows_count"));
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void a_request_has_its_own_deadline(void **state)
{
    (void)state;
    struct daemon server;
    static char answer[65536];
    start(&server, "");
    int hasty = post_row(&server, LONG, "X-Request-Timeout-Ms: 10\r\n");
    assert_int_equal(status_of(hasty, answer, sizeof answer), 504);
    assert_non_null(strstr(answer, "10 ms (X-Request-Timeout-Ms)"));
    int patient = post_row(&server, LONG, "");
    sleep_ms(SANITIZED ? 50 : 20);
    hasty = post_row(&server, LONG, "X-Request-Timeout-Ms: 10\r\n"); /* the work of the running request is known */
    assert_int_equal(status_of(hasty, answer, sizeof answer), 503);
    assert_non_null(strstr(answer, "\"too_late\""));
    assert_non_null(strstr(answer, "Retry-After: 1\r\n"));
    assert_false(answered(patient, 0));
    assert_int_equal(status_of(patient, answer, sizeof answer), 200);
    int wrong = post_row(&server, 1, "X-Request-Timeout-Ms: soon\r\n");
    assert_int_equal(status_of(wrong, answer, sizeof answer), 400);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void a_request_may_wait_for_rows(void **state)
{
    (void)state;
    struct daemon server;
    char answer[65536];
    int fds[4];
    start(&server, ", \"batching\": {\"max_queue_delay_us\": 500000, \"max_batch_rows\": 4}");
    double began = now_ms();
    for (int i = 0; i < 4; i++)
        fds[i] = post_row(&server, 1, "");
    for (int i = 0; i < 4; i++)
        assert_int_equal(status_of(fds[i], answer, sizeof answer), 200);
    if (!SANITIZED)
        assert_true(now_ms() - began < 450); /* the batch is full, so it does not wait */
    assert_true(metric(&server, "cellserve_batch_rows_sum") == 4);
    assert_true(metric(&server, "cellserve_batch_rows_count") == 1);
    began = now_ms();
    assert_int_equal(status_of(post_row(&server, 1, ""), answer, sizeof answer), 200);
    assert_true(now_ms() - began > 400);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* A batch may be larger than the usual number of requests of a worker. It waits until it is full. */
static void large_batches_fill(void **state)
{
    (void)state;
    plain_alone("handshakes take as long as the delay that is measured");
    enum { ROWS = 100 };
    struct daemon server;
    char answer[65536];
    int fds[ROWS];
    start(&server, ", \"batching\": {\"max_queue_delay_us\": 1000000, \"max_batch_rows\": 100}");
    for (int i = 0; i < ROWS; i++)
        fds[i] = post_row(&server, 1, "");
    for (int i = 0; i < ROWS; i++)
        assert_int_equal(status_of(fds[i], answer, sizeof answer), 200);
    assert_true(metric(&server, "cellserve_batch_rows_sum") == ROWS);
    assert_true(metric(&server, "cellserve_batch_rows_count") == 1);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* A worker with the maximum of requests does not wait for more. Waiting uses no CPU time. */
static void a_full_worker_does_not_wait(void **state)
{
    (void)state;
    plain_alone("handshakes take as long as the delay that is measured");
    enum { REQUESTS = 70 };
    struct daemon server;
    char answer[65536];
    int fds[REQUESTS];
    start(&server, ", \"batching\": {\"max_queue_delay_us\": 1000000, \"max_batch_rows\": 40}");
    double began = now_ms(), cpu = metric(&server, "process_cpu_seconds_total");
    for (int i = 0; i < REQUESTS; i++)
        fds[i] = raw_post(&server, "",
                          i % 2 ? "{\"model\": \"other\", \"instances\": [[[1]]]}" : "{\"instances\": [[[1]]]}");
    for (int i = 0; i < 60; i++)
        assert_int_equal(status_of(fds[i], answer, sizeof answer), 200);
    if (!SANITIZED)
        assert_true(now_ms() - began < 900);
    for (int i = 60; i < REQUESTS; i++)
        assert_int_equal(status_of(fds[i], answer, sizeof answer), 200);
    if (!SANITIZED)
        assert_true(metric(&server, "process_cpu_seconds_total") - cpu < 0.5);
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
