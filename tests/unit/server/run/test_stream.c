/* stream.c */
#include "server/run/stream.h"
#include "tests/unit/run_server.h"

static int suspended;

static void suspend(struct request *request)
{
    (void)request;
    suspended++;
}

static bool still_there(struct request *request)
{
    (void)request;
    return false;
}

/* Open a stream of one row. */
static struct prediction *open_stream(struct run_request *r, struct run_server *s, enum stream_form form)
{
    run_request_open(r, s, "{\"instances\": [[[1],[2]]], \"return_sequences\": true}");
    r->request.head.stream_form = form;
    suspended = 0;
    return run_request_decode(r, s);
}

static void open_server(struct run_server *s)
{
    run_server_open(s);
    run_server_sums(s, "m", 1, false);
}

static void assert_reads(struct run_request *r, const char *text)
{
    char out[1024];
    ssize_t n = stream_read(r->request.stream, out, sizeof out - 1, suspend);
    assert_true(n >= 0);
    out[n] = 0;
    assert_string_equal(out, text);
}

static void close_all(struct run_request *r, struct run_server *s)
{
    run_request_close(r);
    run_server_close(s);
}

static void outputs_are_events_or_lines(void **state)
{
    (void)state;
    static const struct {
        enum stream_form form;
        const char *type, *outputs, *done;
    } forms[] = {
        {STREAM_EVENTS, "text/event-stream",
         "event: outputs\ndata: {\"row\": 0, \"timestep\": 5, \"outputs\": [[1.5],[-2.0]]}\n\n",
         "event: done\ndata: {\"done\": true}\n\n"},
        {STREAM_LINES, "application/x-ndjson", "{\"row\": 0, \"timestep\": 5, \"outputs\": [[1.5],[-2.0]]}\n",
         "{\"done\": true}\n"},
    };
    for (size_t i = 0; i < 2; i++) {
        struct run_server s;
        struct run_request r;
        open_server(&s);
        struct prediction *p = open_stream(&r, &s, forms[i].form);
        assert_int_equal(r.request.answer.status, 0);
        stream_begin(r.request.stream);
        assert_int_equal(r.request.answer.status, 200);
        assert_string_equal(r.request.answer.type, forms[i].type);
        assert_int_equal(r.wakes, 1);
        assert_reads(&r, "");
        assert_int_equal(suspended, 1);
        stream_outputs(p, 0, 5, (const float[]){1.5f, -2}, 2);
        assert_int_equal(r.wakes, 2); /* a waiting reader is woken once */
        assert_reads(&r, forms[i].outputs);
        prediction_end(p);
        assert_int_equal(r.wakes, 2);
        assert_int_equal(r.done, 1);
        assert_reads(&r, forms[i].done);
        assert_true(stream_read(r.request.stream, (char[8]){0}, 8, suspend) < 0);
        assert_int_equal(suspended, 1);
        close_all(&r, &s);
    }
}

static void an_error_is_the_last_event(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    open_server(&s);
    struct prediction *p = open_stream(&r, &s, STREAM_EVENTS);
    stream_begin(r.request.stream);
    failure_set(&p->failure, 503, "shutting_down", "", "The server is shutting down.");
    prediction_end(p);
    assert_int_equal(r.request.answer.status, 200);
    assert_string_equal(run_error(&r), "shutting_down");
    assert_reads(&r,
                 "event: error\ndata: {\"error\": \"The server is shutting down.\", \"code\": \"shutting_down\"}\n\n");
    assert_true(stream_read(r.request.stream, (char[8]){0}, 8, suspend) < 0);
    close_all(&r, &s);
}

static void nan_ends_a_stream(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    open_server(&s);
    struct prediction *p = open_stream(&r, &s, STREAM_LINES);
    stream_begin(r.request.stream);
    stream_outputs(p, 0, 0, (const float[]){NAN}, 1);
    assert_string_equal(p->failure.code, "nonfinite_output");
    assert_string_equal(p->failure.path, "/instances/0");
    assert_reads(&r, ""); /* not even a part of the output */
    prediction_end(p);
    assert_string_equal(run_error(&r), "nonfinite_output");
    close_all(&r, &s);
}

static void the_buffer_is_bounded_and_a_slow_reader_puts_the_writer_aside(void **state)
{
    (void)state;
    enum { HIGH = 1 << 18, LOW = 1 << 16, PIECE = 4096 };
    struct run_server s;
    struct run_request r;
    char out[PIECE];
    size_t queued, running;
    open_server(&s);
    assert_true(pool_start(&s.server.pool, 0, false, 8, 4096));
    struct prediction *p = open_stream(&r, &s, STREAM_LINES);
    struct stream *stream = r.request.stream;
    stream_begin(stream);
    float values[1000];
    for (size_t i = 0; i < 1000; i++)
        values[i] = 0.123456789f;
    size_t written = 0, before = 0;
    while (!stream_is_full(stream)) {
        assert_false(stream_waits(stream));
        before = stream->text.used;
        stream_outputs(p, 0, 0, values, 1000);
        written++;
    }
    assert_true(before <= HIGH && stream->text.used > HIGH && stream->text.used < HIGH + 20000);
    assert_true(stream_waits(stream));
    size_t left = stream->text.used;
    while (left >= LOW) {
        pool_load(&s.server.pool, &queued, &running);
        assert_int_equal(s.server.pool.workers->lines[POOL_SLICED].n, 0);
        ssize_t n = stream_read(stream, out, PIECE, suspend);
        assert_int_equal(n, PIECE);
        left -= PIECE;
    }
    assert_int_equal(s.server.pool.workers->lines[POOL_SLICED].n, 1); /* queued again, once */
    assert_ptr_equal(s.server.pool.workers->lines[POOL_SLICED].first, &r.request.task);
    stream_read(stream, out, PIECE, suspend);
    assert_int_equal(s.server.pool.workers->lines[POOL_SLICED].n, 1);
    /* bytes that were read make room */
    stream_outputs(p, 0, 0, values, 1);
    assert_int_equal(stream->sent, 0);
    assert_true(stream->text.used < LOW);
    assert_true(written > 10);
    s.server.pool.workers->lines[POOL_SLICED].n = 0;
    s.server.pool.workers->lines[POOL_SLICED].first = NULL;
    prediction_end(p);
    pool_stop(&s.server.pool);
    close_all(&r, &s);
}

static void the_last_user_of_a_stream_frees_the_request(void **state)
{
    (void)state;
    for (int reader_first = 0; reader_first < 2; reader_first++) {
        struct run_server s;
        struct run_request r;
        open_server(&s);
        struct prediction *p = open_stream(&r, &s, STREAM_LINES);
        stream_begin(r.request.stream);
        assert_false(stream_is_deserted(r.request.stream, still_there));
        if (reader_first) {
            assert_false(stream_reader_leaves(r.request.stream));
            assert_true(stream_is_deserted(r.request.stream, still_there));
            int wakes = r.wakes;
            stream_outputs(p, 0, 0, (const float[]){1}, 1); /* no wake-up without a reader */
            assert_int_equal(r.wakes, wakes);
            assert_false(stream_is_full(r.request.stream));
            prediction_end(p);
            assert_true(stream_writer_leaves(r.request.stream));
        } else {
            prediction_end(p);
            assert_false(stream_writer_leaves(r.request.stream));
            assert_reads(&r, "{\"done\": true}\n");
            assert_true(stream_reader_leaves(r.request.stream));
        }
        close_all(&r, &s);
    }
}

static void a_reader_that_leaves_lets_a_waiting_writer_go(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    open_server(&s);
    assert_true(pool_start(&s.server.pool, 0, false, 8, 4096));
    struct prediction *p = open_stream(&r, &s, STREAM_LINES);
    stream_begin(r.request.stream);
    float values[1000] = {0};
    while (!stream_waits(r.request.stream))
        stream_outputs(p, 0, 0, values, 1000);
    assert_false(stream_reader_leaves(r.request.stream));
    assert_int_equal(s.server.pool.workers->lines[POOL_SLICED].n, 1);
    assert_false(stream_waits(r.request.stream)); /* there is no reader to wait for */
    s.server.pool.workers->lines[POOL_SLICED].n = 0;
    s.server.pool.workers->lines[POOL_SLICED].first = NULL;
    prediction_end(p);
    pool_stop(&s.server.pool);
    close_all(&r, &s);
}

static void silence_is_filled_with_heartbeats(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    open_server(&s);
    struct prediction *p = open_stream(&r, &s, STREAM_EVENTS);
    streams_tick(&s.server.streams, INT64_MAX, false); /* the stream has not begun */
    stream_begin(r.request.stream);
    streams_tick(&s.server.streams, INT64_MAX, false); /* no reader waits */
    assert_reads(&r, "");
    streams_tick(&s.server.streams, 0, false); /* something was written since the given time */
    assert_reads(&r, "");
    streams_tick(&s.server.streams, INT64_MAX, false);
    assert_reads(&r, ":\n\n");
    prediction_end(p);
    streams_tick(&s.server.streams, INT64_MAX, false);
    assert_reads(&r, "event: done\ndata: {\"done\": true}\n\n");
    close_all(&r, &s);
}

static void streams_are_counted_and_bounded(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r[2];
    open_server(&s);
    s.settings.max_streams = 1;
    assert_int_equal(streams_leave(&s.server.streams, 1000), 1000);
    struct prediction *p = open_stream(&r[0], &s, STREAM_LINES);
    assert_int_equal(streams_leave(&s.server.streams, 1000), 500);
    run_request_open(&r[1], &s, "{\"instances\": [[[1]]], \"return_sequences\": true}");
    r[1].request.head.stream_form = STREAM_LINES;
    assert_null(prediction_begin(&r[1].request, &s.worker));
    assert_int_equal(r[1].request.answer.status, 503);
    assert_string_equal(run_error(&r[1]), "stream_limit");
    run_request_close(&r[1]);
    assert_int_equal(s.server.streams.n, 1);
    stream_begin(r[0].request.stream);
    prediction_end(p);
    close_all(&r[0], &s);
}

static void without_memory_a_stream_ends(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    open_server(&s);
    struct prediction *p = open_stream(&r, &s, STREAM_LINES);
    stream_begin(r.request.stream);
    static float values[8000]; /* more text than a slice of the account */
    size_t limit = s.server.memory.limit;
    s.server.memory.limit = s.server.memory.used;
    stream_outputs(p, 0, 0, values, 8000);
    s.server.memory.limit = limit;
    assert_string_equal(p->failure.code, "overloaded");
    assert_reads(&r, "");
    prediction_end(p);
    close_all(&r, &s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_events_or_lines),
        cmocka_unit_test(an_error_is_the_last_event),
        cmocka_unit_test(nan_ends_a_stream),
        cmocka_unit_test(the_buffer_is_bounded_and_a_slow_reader_puts_the_writer_aside),
        cmocka_unit_test(the_last_user_of_a_stream_frees_the_request),
        cmocka_unit_test(a_reader_that_leaves_lets_a_waiting_writer_go),
        cmocka_unit_test(silence_is_filled_with_heartbeats),
        cmocka_unit_test(streams_are_counted_and_bounded),
        cmocka_unit_test(without_memory_a_stream_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
