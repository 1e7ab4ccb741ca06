/* schedule.c: a worker's loop, with a pool of one worker. */
#include "server/run/schedule.h"
#include "tests/unit/run_server.h"

#include <time.h>

enum { PATIENCE_MS = 30000 };

static atomic_bool gate_closed, gate_reached;

static void nap(void)
{
    nanosleep(&(struct timespec){0, 1000000}, NULL);
}

static void hold_worker(struct task *task, struct worker *worker)
{
    (void)task;
    gate_reached = true;
    while (gate_closed)
        nap();
    pool_done(worker);
}

static struct task gate = {.run = hold_worker, .deadline_ns = INT64_MAX};

/* A server whose one worker waits until the gate is opened. */
static void open_server(struct run_server *s)
{
    run_server_open(s);
    struct model *model = run_server_sums(s, "m", 1, false);
    run_server_sums(s, "other", 2, false);
    gate_closed = true;
    gate_reached = false;
    assert_true(pool_start(&s->server.pool, 1, false, 100, model->scratch_bytes));
    assert_true(pool_try_add(&s->server.pool, &gate));
    while (!gate_reached)
        nap();
}

static void close_server(struct run_server *s)
{
    pool_stop(&s->server.pool);
    run_server_close(s);
}

static void post(struct run_request *r, struct run_server *s, const char *body, int64_t deadline_ns,
                 enum stream_form form)
{
    run_request_open(r, s, body);
    r->request.head.stream_form = form;
    r->request.task.run = schedule_run;
    r->request.task.deadline_ns = deadline_ns;
    assert_true(pool_try_add(&s->server.pool, &r->request.task));
}

static void wait_for(struct run_request *r)
{
    int64_t end = clock_ns() + PATIENCE_MS * (int64_t)NS_PER_MS;
    while (!r->done && clock_ns() < end)
        nap();
    assert_int_equal(r->done, 1);
}

static void requests_that_wait_run_together(void **state)
{
    (void)state;
    enum { N = 20 };
    struct run_server s;
    static struct run_request r[N];
    open_server(&s);
    for (size_t i = 0; i < N; i++) {
        char *body = run_body_of_ones(1, (size_t[]){i + 1}, false);
        post(&r[i], &s, body, INT64_MAX, STREAM_NONE);
        free(body);
    }
    gate_closed = false;
    for (size_t i = 0; i < N; i++) {
        wait_for(&r[i]);
        assert_int_equal(r[i].request.answer.status, 200);
        assert_true(r[i].outputs[0] == (float)(i + 1));
        assert_int_equal(r[i].request.rows, 1);
        assert_int_equal(r[i].request.timesteps, i + 1);
        assert_null(r[i].request.body);
        run_request_close(&r[i]);
    }
    assert_int_equal(metrics_model(&s.server.metrics, "m").runs, 1);
    struct metrics_counts counts;
    assert_true(metrics_sum(&s.server.metrics, &counts));
    assert_int_equal(counts.batch_rows.sum, N);
    free(counts.requests);
    close_server(&s);
}

enum { MOST = 20 };

/* The number of answers that were written so far, and that had been written when each request was handed back. */
static int written, written_before[MOST];
static struct run_request grouped[MOST];

static void (*write_answer)(struct prediction *p);

static void count_answer(struct prediction *p)
{
    write_answer(p);
    written++;
}

static void note_return(struct request *request)
{
    struct run_request *r = run_request_of(request);
    written_before[r - grouped] = written;
    r->done++;
}

/* Run this number of requests together. returns[k] becomes the number of requests that were handed back when k answers
   had been written. */
static void run_grouped(size_t n, bool gzip, int returns[MOST + 1])
{
    struct run_server s;
    struct protocol protocol;
    open_server(&s);
    written = 0;
    for (size_t i = 0; i < n; i++) {
        struct request *request = &grouped[i].request;
        post(&grouped[i], &s, "{\"instances\": [[[1], [2]]]}", INT64_MAX, STREAM_NONE);
        write_answer = request->protocol->encode;
        protocol = *request->protocol;
        protocol.encode = count_answer;
        request->protocol = &protocol; /* the worker waits for the gate */
        request->head.accepts_gzip = gzip;
        request->done = note_return;
    }
    gate_closed = false;
    memset(returns, 0, (MOST + 1) * sizeof *returns);
    for (size_t i = 0; i < n; i++)
        wait_for(&grouped[i]);
    for (size_t i = 0; i < n; i++) {
        returns[written_before[i]]++;
        assert_true(grouped[i].outputs[0] == 3);
        run_request_close(&grouped[i]);
    }
    close_server(&s);
}

static void many_short_answers_are_handed_back_in_groups(void **state)
{
    (void)state;
    int returns[MOST + 1];
    run_grouped(MOST, false, returns);
    for (int k = 0; k <= MOST; k++)
        assert_int_equal(returns[k], k == 8 || k == 16 ? 8 : k > 16 ? 1 : 0);
}

static void few_or_long_answers_are_handed_back_at_once(void **state)
{
    (void)state;
    int returns[MOST + 1];
    run_grouped(7, false, returns);
    for (int k = 1; k <= 7; k++)
        assert_int_equal(returns[k], 1);
    run_grouped(MOST, true, returns);
    for (int k = 1; k <= MOST; k++)
        assert_int_equal(returns[k], 1);
}

static void a_failure_leaves_the_other_requests(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        int64_t deadline_ns;
        int status;
        const char *code;
        float output;
    } cases[] = {
        {"{\"instances\": [[[1], [2]]]}", INT64_MAX, 200, "", 3},
        {"{\"instances\": [[[1]", INT64_MAX, 400, "invalid_json", 0},
        {"{\"instances\": [[[1, 2]]]}", INT64_MAX, 400, "wrong_shape", 0},
        {"{\"instances\": [[[4], [5]]], \"model\": \"other\"}", INT64_MAX, 200, "", 9},
        {"{\"instances\": [[[1]]], \"model\": \"none\"}", INT64_MAX, 404, "model_not_found", 0},
        {"{\"instances\": [[[1]]]}", 1, 504, "deadline_exceeded", 0},
        {"{\"instances\": [[[7]]]}", INT64_MAX, 200, "", 7},
    };
    enum { N = sizeof cases / sizeof *cases };
    struct run_server s;
    struct run_request r[N];
    open_server(&s);
    for (size_t i = 0; i < N; i++)
        post(&r[i], &s, cases[i].body, cases[i].deadline_ns, STREAM_NONE);
    gate_closed = false;
    for (size_t i = 0; i < N; i++) {
        wait_for(&r[i]);
        assert_int_equal(r[i].request.answer.status, cases[i].status);
        assert_string_equal(run_error(&r[i]), cases[i].code);
        assert_true(r[i].outputs[0] == cases[i].output);
        run_request_close(&r[i]);
    }
    assert_int_equal(metrics_model(&s.server.metrics, "m").runs, 1); /* one running batch for each model */
    assert_int_equal(metrics_model(&s.server.metrics, "other").runs, 1);
    close_server(&s);
}

static void a_batch_waits_for_rows_until_it_is_full(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r[3];
    open_server(&s);
    s.settings.max_queue_delay_us = 2 * PATIENCE_MS * INT64_C(1000);
    s.settings.max_batch_rows = 3;
    gate_closed = false;
    for (int i = 0; i < 3; i++) {
        post(&r[i], &s, "{\"instances\": [[[2], [3]]]}", INT64_MAX, STREAM_NONE);
        for (int n = 0; i < 2 && n < 10; n++) {
            nap();
            assert_int_equal(r[i].done, 0);
        }
    }
    for (int i = 0; i < 3; i++) {
        wait_for(&r[i]);
        assert_true(r[i].outputs[0] == 5);
        run_request_close(&r[i]);
    }
    assert_int_equal(metrics_model(&s.server.metrics, "m").runs, 1);
    close_server(&s);
}

static void never_suspended(struct request *request)
{
    (void)request;
}

/* Read a stream to its end. Returns its bytes; `last` is the last output, `line` the last line. */
static size_t read_stream(struct run_request *r, double *last, char line[128])
{
    static char text[65536];
    size_t total = 0, at = 0;
    int64_t end = clock_ns() + PATIENCE_MS * (int64_t)NS_PER_MS;
    for (ssize_t n; (n = stream_read(r->request.stream, text, sizeof text, never_suspended)) >= 0;) {
        assert_true(clock_ns() < end);
        for (ssize_t i = 0; i < n; i++) {
            if (text[i] == '[')
                at = 0; /* a number begins */
            if (text[i] == '\n' || at == 127) {
                line[at] = 0;
                at = 0;
                continue;
            }
            line[at++] = text[i];
            line[at] = 0;
            if (text[i] == ']' && at > 2 && line[0] == '[')
                *last = atof(line + 1);
        }
        total += (size_t)n;
        if (!n)
            nap();
    }
    return total;
}

static void a_slow_reader_has_the_stream_put_aside(void **state)
{
    (void)state;
    enum { LONG = 100000 };
    struct run_server s;
    struct run_request stream, other;
    char *body = run_body_of_ones(1, (size_t[]){LONG}, true), line[128] = "";
    size_t queued = 1, running = 1;
    double last = 0;
    open_server(&s);
    post(&stream, &s, body, INT64_MAX, STREAM_LINES);
    free(body);
    gate_closed = false;
    int64_t end = clock_ns() + PATIENCE_MS * (int64_t)NS_PER_MS;
    for (; (queued || running) && clock_ns() < end; nap())
        pool_load(&s.server.pool, &queued, &running);
    assert_int_equal(queued + running, 0); /* the worker has no task */
    assert_int_equal(stream.done, 0);
    assert_int_equal(stream.request.answer.status, 200);
    post(&other, &s, "{\"instances\": [[[7]]]}", INT64_MAX, STREAM_NONE);
    wait_for(&other);
    assert_true(other.outputs[0] == 7);
    run_request_close(&other);
    assert_int_equal(stream.done, 0);
    assert_true(read_stream(&stream, &last, line) > (1 << 19));
    wait_for(&stream);
    assert_true(last == LONG);
    assert_string_equal(line, "{\"done\": true}");
    run_request_close(&stream);
    close_server(&s);
}

static void streams_and_others_are_both_answered(void **state)
{
    (void)state;
    enum { N = 8 };
    struct run_server s;
    struct run_request streams[N], others[N];
    open_server(&s);
    s.settings.max_batch_rows = 2; /* so that most wait for a slot */
    for (size_t i = 0; i < N; i++) {
        char *body = run_body_of_ones(1, (size_t[]){500 + i}, true);
        post(&streams[i], &s, body, INT64_MAX, STREAM_LINES);
        free(body);
        body = run_body_of_ones(1, (size_t[]){300 + i}, false);
        post(&others[i], &s, body, INT64_MAX, STREAM_NONE);
        free(body);
    }
    gate_closed = false;
    for (size_t i = 0; i < N; i++) {
        char line[128] = "";
        double last = 0;
        wait_for(&others[i]);
        assert_true(others[i].outputs[0] == (float)(300 + i));
        run_request_close(&others[i]);
        read_stream(&streams[i], &last, line);
        wait_for(&streams[i]);
        assert_true(last == (double)(500 + i));
        assert_string_equal(line, "{\"done\": true}");
        run_request_close(&streams[i]);
    }
    close_server(&s);
}

static void one_request_needs_no_pool(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    run_server_open(&s);
    run_server_sums(&s, "m", 1, false);
    run_request_open(&r, &s, "{\"instances\": [[[1], [2]], [[3]]], \"return_sequences\": true}");
    schedule_alone(&r.request, &s.worker);
    assert_int_equal(r.done, 1);
    assert_int_equal(r.n_outputs, 3);
    assert_true(r.outputs[0] == 1 && r.outputs[1] == 3 && r.outputs[2] == 3);
    run_request_close(&r);
    run_server_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_that_wait_run_together),
        cmocka_unit_test(many_short_answers_are_handed_back_in_groups),
        cmocka_unit_test(few_or_long_answers_are_handed_back_at_once),
        cmocka_unit_test(a_failure_leaves_the_other_requests),
        cmocka_unit_test(a_batch_waits_for_rows_until_it_is_full),
        cmocka_unit_test(a_slow_reader_has_the_stream_put_aside),
        cmocka_unit_test(streams_and_others_are_both_answered),
        cmocka_unit_test(one_request_needs_no_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
