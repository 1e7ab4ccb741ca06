/* running_batch.c */
#include "server/run/running_kept.h"
#include "tests/unit/run_server.h"

/* Wide enough that a chunk of 2 ms has a few hundred timesteps. */
enum { WIDE = 256, LONG = 4000 };

static struct prediction *ones(struct run_request *r, struct run_server *s, size_t n, const size_t *lengths)
{
    char *body = run_body_of_ones(n, lengths, false);
    run_request_open(r, s, body);
    free(body);
    return run_request_decode(r, s);
}

/* Run until a prediction is removed, and return it. */
static struct prediction *advance(struct running_batch *running, struct run_server *s)
{
    struct prediction *out = NULL;
    for (int chunks = 0; !out && chunks < 100000; chunks++)
        out = running_batch_advance(running, &s->worker, &s->server.metrics);
    assert_non_null(out);
    return out;
}

static void end_with_sum(struct run_request *r, struct prediction *p, float sum)
{
    prediction_end(p);
    assert_int_equal(r->done, 1);
    assert_int_equal(r->request.answer.status, 200);
    assert_true(r->outputs[0] == sum);
    run_request_close(r);
}

static void rows_are_admitted_one_of_each_in_turn(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r[3];
    run_server_open(&s);
    run_server_sums(&s, "m", WIDE, false);
    struct prediction *a = ones(&r[0], &s, 3, (size_t[]){LONG, LONG, LONG}), *b = ones(&r[1], &s, 1, (size_t[]){LONG}),
                      *c = ones(&r[2], &s, 2, (size_t[]){LONG, LONG});
    struct running_batch *running = running_batch_open(a, 4);
    assert_true(running->in_chunks);
    running_batch_add(running, a);
    running_batch_add(running, b);
    running_batch_add(running, c);
    assert_null(running_batch_advance(running, &s.worker, &s.server.metrics));
    assert_int_equal(running->n, 4);
    const struct prediction *owners[4] = {a, b, c, a};
    const size_t rows[4] = {0, 0, 0, 1};
    size_t steps = a->batch.progress[0].done;
    assert_true(steps >= 4 && steps < LONG);
    for (size_t i = 0; i < 4; i++) {
        assert_ptr_equal(running->slots[i].owner, owners[i]);
        assert_int_equal(running->slots[i].b, rows[i]);
        assert_int_equal(owners[i]->batch.progress[rows[i]].done, steps);
    }
    assert_int_equal(a->admitted, 2);
    assert_int_equal(c->batch.progress[1].done, 0);
    /* all rows of b are done first; then a and c use the free slots */
    assert_ptr_equal(advance(running, &s), b);
    end_with_sum(&r[1], b, LONG);
    assert_ptr_equal(running->first, a);
    for (struct prediction *next, *p; running->first;)
        for (p = advance(running, &s); p; p = next) {
            next = p->next;
            assert_int_equal(p->finished, p->batch.n_rows);
            assert_true(p->cost_ns > 0);
            end_with_sum(p == a ? &r[0] : &r[2], p, LONG);
        }
    assert_int_equal(running->n, 0);
    running_batch_close(running);
    run_server_close(&s);
}

static void finished_rows_free_their_slots(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    run_server_open(&s);
    run_server_sums(&s, "m", WIDE, false);
    /* the chunk that ends the rows of 2 and 1 timesteps also has the first timesteps of the long row */
    struct prediction *p = ones(&r, &s, 4, (size_t[]){LONG, 2, 1, LONG + 1});
    struct running_batch *running = running_batch_open(p, 3);
    running_batch_add(running, p);
    assert_null(running_batch_advance(running, &s.worker, &s.server.metrics));
    assert_int_equal(p->finished, 2);
    assert_int_equal(running->n, 1);
    assert_int_equal(running->slots[0].b, 0);
    assert_null(running_batch_advance(running, &s.worker, &s.server.metrics));
    assert_int_equal(running->n, 2);
    assert_int_equal(running->slots[1].b, 3);
    assert_ptr_equal(advance(running, &s), p);
    prediction_end(p);
    assert_int_equal(r.n_outputs, 4 * WIDE);
    assert_true(r.outputs[0] == LONG);
    running_batch_close(running);
    run_request_close(&r);
    run_server_close(&s);
}

/* A worker's next batch reuses the buffers of the previous one. They count as a request's memory only while a batch
   runs. */
static void buffers_go_from_batch_to_batch(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    struct pool pool = {.n_workers = 0};
    run_server_open(&s);
    run_server_sums(&s, "m", 2, true);
    struct worker worker = {.pool = &pool};
    const void *slots = NULL, *floats = NULL;
    for (size_t i = 0; i < 3; i++) {
        struct prediction *p = ones(&r, &s, 1, (size_t[]){5 + i});
        size_t used = s.server.memory.used;
        struct running_batch *running = running_kept_open(&worker, p, 4);
        assert_null(worker.kept);
        assert_true(i ? running->slots == slots && running->floats == floats : !running->floats);
        assert_true(i ? s.server.memory.used > used : s.server.memory.used == used);
        running_batch_add(running, p);
        assert_ptr_equal(advance(running, &s), p);
        slots = running->slots;
        floats = running->floats;
        assert_non_null(floats);
        running_kept_close(&worker, running);
        assert_ptr_equal(worker.kept, running);
        assert_int_equal(s.server.memory.used, used);
        end_with_sum(&r, p, (float)(5 + i));
    }
    struct prediction *p = ones(&r, &s, 1, (size_t[]){1});
    struct running_batch *other = running_kept_open(&worker, p, 5); /* of another size */
    assert_true(other != worker.kept);
    running_batch_close(other);
    prediction_end(p);
    run_request_close(&r);
    worker.close_kept(worker.kept);
    arena_close(&worker.arena);
    run_server_close(&s);
}

static void other_models_and_outputs_are_not_accepted(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r[3];
    run_server_open(&s);
    run_server_sums(&s, "m", 1, false);
    run_server_sums(&s, "other", 1, false);
    static const char *const bodies[3] = {"{\"model\": \"m\", \"instances\": [[[1],[2],[3]]]}",
                                          "{\"model\": \"m\", \"instances\": [[[1]]], \"return_sequences\": true}",
                                          "{\"model\": \"other\", \"instances\": [[[1]]]}"};
    struct prediction *p[3];
    for (int i = 0; i < 3; i++) {
        run_request_open(&r[i], &s, bodies[i]);
        p[i] = run_request_decode(&r[i], &s);
    }
    struct running_batch *running = running_batch_open(p[0], 4);
    assert_true(running_batch_accepts(running, p[0]));
    assert_false(running_batch_accepts(running, p[1]));
    assert_false(running_batch_accepts(running, p[2]));
    running_batch_add(running, p[0]);
    assert_ptr_equal(advance(running, &s), p[0]);
    end_with_sum(&r[0], p[0], 6);
    running_batch_close(running);
    for (int i = 1; i < 3; i++) {
        prediction_end(p[i]);
        run_request_close(&r[i]);
    }
    run_server_close(&s);
}

static void slots_are_freed_when_a_slice_ends(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r[2];
    run_server_open(&s);
    run_server_sums(&s, "m", WIDE, false);
    struct prediction *a = ones(&r[0], &s, 1, (size_t[]){LONG}), *b = ones(&r[1], &s, 1, (size_t[]){LONG});
    struct running_batch *running = running_batch_open(a, 1);
    running_batch_add(running, a);
    running_batch_add(running, b);
    assert_null(running_batch_advance(running, &s.worker, &s.server.metrics));
    assert_true(a->slots_since_ns && !b->slots_since_ns);
    size_t done = a->batch.progress[0].done;
    a->slots_since_ns -= 1000000000;
    assert_null(running_batch_advance(running, &s.worker, &s.server.metrics));
    assert_ptr_equal(running->slots[0].owner, b);
    assert_ptr_equal(running->first, b);
    assert_ptr_equal(b->next, a);
    assert_int_equal(a->batch.progress[0].done, done); /* kept, so that the row continues from here */
    assert_int_equal(a->slots_since_ns, 0);

    /* for requests that wait in the pool, at most the given number of rows is removed */
    b->slots_since_ns -= 1000000000;
    assert_null(running_batch_preempt(running, 0));
    assert_ptr_equal(running_batch_preempt(running, 1), b);
    assert_int_equal(running->n, 0);
    assert_int_equal(b->admitted, 0);
    assert_ptr_equal(running->first, a);
    running_batch_add(running, b);
    for (int i = 0; i < 2; i++) { /* in any order, because slices may end at any time on a busy machine */
        struct prediction *p = advance(running, &s);
        end_with_sum(p == a ? &r[0] : &r[1], p, LONG);
    }
    running_batch_close(running);
    run_server_close(&s);
}

static void a_failure_of_one_leaves_the_others(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r[3];
    struct prediction *p[3];
    run_server_open(&s);
    run_server_sums(&s, "m", WIDE, false);
    for (int i = 0; i < 3; i++)
        p[i] = ones(&r[i], &s, 1, (size_t[]){LONG + i});
    struct running_batch *running = running_batch_open(p[0], 3);
    for (int i = 0; i < 3; i++)
        running_batch_add(running, p[i]);
    assert_null(running_batch_remove_stopped(running));
    assert_null(running_batch_advance(running, &s.worker, &s.server.metrics));
    assert_int_equal(running->n, 3);
    r[1].request.task.deadline_ns = 1;
    assert_ptr_equal(running_batch_remove_stopped(running), p[1]);
    assert_null(p[1]->next);
    assert_int_equal(running->n, 2);
    prediction_end(p[1]);
    assert_int_equal(r[1].request.answer.status, 504);
    assert_string_equal(run_error(&r[1]), "deadline_exceeded");
    run_request_close(&r[1]);
    struct prediction *out = advance(running, &s);
    assert_ptr_equal(out, p[0]);
    out = out->next ? out->next : advance(running, &s);
    assert_ptr_equal(out, p[2]);
    end_with_sum(&r[0], p[0], LONG);
    end_with_sum(&r[2], p[2], LONG + 2);
    running_batch_close(running);
    run_server_close(&s);
}

static void without_memory_all_rows_of_the_chunk_fail(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    run_server_open(&s);
    static const float scores[4][4] = {{0}};
    run_server_tokens(&s, "tokens", scores); /* its inputs are copied, so a chunk needs memory */
    run_request_open(&r, &s, "{\"instances\": [[0, 1, 2, 3]]}");
    struct prediction *p = run_request_decode(&r, &s);
    struct running_batch *running = running_batch_open(p, 4);
    running_batch_add(running, p);
    size_t limit = s.server.memory.limit;
    s.server.memory.limit = s.server.memory.used;
    assert_ptr_equal(running_batch_advance(running, &s.worker, &s.server.metrics), p);
    s.server.memory.limit = limit;
    prediction_end(p);
    assert_int_equal(r.request.answer.status, 503);
    assert_string_equal(run_error(&r), "overloaded");
    running_batch_close(running);
    run_request_close(&r);
    run_server_close(&s);
}

static void rows_that_cannot_be_cut_run_to_their_end(void **state)
{
    (void)state;
    enum { MANY = 10000 };
    struct run_server s;
    struct run_request r[2];
    run_server_open(&s);
    run_server_sums(&s, "m", 1, true);
    struct prediction *a = ones(&r[0], &s, 2, (size_t[]){MANY, 7}), *b = ones(&r[1], &s, 1, (size_t[]){MANY});
    struct running_batch *running = running_batch_open(a, 8);
    assert_false(running->in_chunks);
    running_batch_add(running, a);
    running_batch_add(running, b);
    /* together they have more timesteps than a batch of rows that run to their end may have */
    assert_null(running_batch_advance(running, &s.worker, &s.server.metrics));
    assert_int_equal(a->finished, 1);
    assert_int_equal(b->admitted, 0);
    a->slots_since_ns -= 1000000000;
    assert_null(running_batch_preempt(running, 8)); /* they cannot be preempted either */
    assert_ptr_equal(running_batch_advance(running, &s.worker, &s.server.metrics), a);
    assert_ptr_equal(a->next, b);
    assert_true(running->first == NULL);
    prediction_end(a);
    assert_true(r[0].outputs[0] == MANY && r[0].outputs[1] == 7);
    run_request_close(&r[0]);
    end_with_sum(&r[1], b, MANY);
    running_batch_close(running);
    run_server_close(&s);
}

static void a_streams_chunks_are_events(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    char *body = run_body_of_ones(1, (size_t[]){100}, true);
    run_server_open(&s);
    run_server_sums(&s, "m", WIDE, false);
    run_request_open(&r, &s, body);
    free(body);
    r.request.head.stream_form = STREAM_LINES;
    struct prediction *p = run_request_decode(&r, &s);
    struct running_batch *running = running_batch_open(p, 1);
    assert_true(running->streams);
    prediction_stream(p);
    running_batch_add(running, p);
    assert_null(running_batch_advance(running, &s.worker, &s.server.metrics));
    assert_int_equal(p->batch.progress[0].given, 16); /* the first event is small, so that it is sent early */
    assert_null(running_batch_advance(running, &s.worker, &s.server.metrics));
    assert_int_equal(p->batch.progress[0].given, 16 + 4096 / WIDE + 1);
    assert_ptr_equal(advance(running, &s), p);
    assert_int_equal(p->batch.progress[0].given, 100);
    prediction_end(p);
    running_batch_close(running);
    run_request_close(&r);
    run_server_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_admitted_one_of_each_in_turn),
        cmocka_unit_test(finished_rows_free_their_slots),
        cmocka_unit_test(buffers_go_from_batch_to_batch),
        cmocka_unit_test(other_models_and_outputs_are_not_accepted),
        cmocka_unit_test(slots_are_freed_when_a_slice_ends),
        cmocka_unit_test(a_failure_of_one_leaves_the_others),
        cmocka_unit_test(without_memory_all_rows_of_the_chunk_fail),
        cmocka_unit_test(rows_that_cannot_be_cut_run_to_their_end),
        cmocka_unit_test(a_streams_chunks_are_events),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
