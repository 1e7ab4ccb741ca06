/* Rows become the tensors of an answer: by name, as full arrays, as JSON, and as an answer that is stored for
   repeats. */
#include "batch_fixture.h"

#include "core/team.h"
#include "server/base/clock.h"

#include <pthread.h>
#include <sched.h>
#include <semaphore.h>

/* Outputs and states that encode their position: 100 b + 10 t + k, and 1000 + 100 b + k. */
static void fill(struct batch *batch)
{
    size_t elems = batch->model->graph.state_elems;
    for (size_t b = 0; b < batch->n_rows; b++) {
        struct rnn_row *row = &batch->rows[b];
        for (size_t t = 0; t < batch->steps[b]; t++)
            for (size_t k = 0; k < batch->output.width; k++)
                row->outputs[(ptrdiff_t)t * row->output_stride + (ptrdiff_t)k] = (float)(100 * b + 10 * t + k);
        for (size_t k = 0; k < elems; k++)
            row->states[k] = (float)(1000 + 100 * b + k);
    }
}

static void open_filled(struct batch_fixture *f, const char *model, size_t features, const char *body)
{
    batch_fixture_open(f, model, features);
    batch_fixture_must_bind(f, body);
    fill(&f->batch);
}

static struct buffer buffer_of(struct batch_fixture *f)
{
    return (struct buffer){.limit = 1 << 28, .share = &f->share};
}

static void must_have(struct buffer *buffer, const char *text)
{
    if (buffer->used != strlen(text) || memcmp(buffer->text, text, buffer->used))
        fail_msg("%.*s, expected %s", (int)buffer->used, buffer->text, text);
    buffer_close(buffer);
}

static void outputs_must_be(struct batch_fixture *f, const char *text)
{
    struct buffer buffer = buffer_of(f);
    bool finite = true;
    batch_write_outputs(&f->batch, &buffer, &finite);
    assert_true(finite);
    must_have(&buffer, text);
}

static void states_must_be(struct batch_fixture *f, const char *text)
{
    struct buffer buffer = buffer_of(f);
    bool finite = true;
    batch_write_states(&f->batch, &buffer, &finite);
    assert_true(finite);
    must_have(&buffer, text);
}

static void tensors_have_names_and_places(void **state)
{
    (void)state;
    static const struct {
        const char *model;
        size_t features;
        struct batch_tensor tensors[8];
    } cases[] = {
        {NESTED,
         2,
         {{.name = "outputs", .state = false, .offset = 0, .width = 1},
          {.name = "state.0.h", .state = true, .offset = 0, .width = 1},
          {.name = "state.1.0.h", .state = true, .offset = 1, .width = 2},
          {.name = "state.1.0.c", .state = true, .offset = 3, .width = 2},
          {.name = "state.1.1.h", .state = true, .offset = 5, .width = 1}}},
        {TWO_OUTPUTS,
         0,
         {{.name = "outputs", .state = false, .offset = 0, .width = 1},
          {.name = "outputs_1", .state = false, .offset = 1, .width = 1},
          {.name = "state.0.h", .state = true, .offset = 0, .width = 2},
          {.name = "state.1.h", .state = true, .offset = 2, .width = 1},
          {.name = "state.1.c", .state = true, .offset = 3, .width = 1},
          {.name = "state.2.h", .state = true, .offset = 4, .width = 1},
          {.name = "state.2.c", .state = true, .offset = 5, .width = 1}}},
        {DENSE, 0, {{.name = "outputs", .state = false, .offset = 0, .width = 2}}},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct batch_fixture f;
        struct batch_tensor tensor;
        size_t n = 0;
        batch_fixture_open(&f, cases[i].model, cases[i].features);
        for (; batch_tensor_at(&f.model.graph, n, &tensor); n++) {
            const struct batch_tensor *want = &cases[i].tensors[n];
            assert_string_equal(tensor.name, want->name);
            assert_true(tensor.state == want->state && tensor.offset == want->offset && tensor.width == want->width);
        }
        assert_string_equal(cases[i].tensors[n].name, "");
        batch_fixture_close(&f);
    }
}

static void sequences_keep_their_own_lengths(void **state)
{
    (void)state;
    struct batch_fixture f;
    open_filled(&f, LSTM, 1, "{'x': [[[1], [2], [3]], [[4]], [[5], [6]]]}");
    outputs_must_be(&f, "[[[0.0,1.0],[10.0,11.0],[20.0,21.0]],[[100.0,101.0]],[[200.0,201.0],[210.0,211.0]]]");
    states_must_be(&f, "[[[[1000.0,1001.0],[1100.0,1101.0],[1200.0,1201.0]],"
                       "[[1002.0,1003.0],[1102.0,1103.0],[1202.0,1203.0]]]]");
    struct batch_tensor outputs, h;
    struct buffer buffer = buffer_of(&f);
    bool finite = true;
    assert_true(batch_tensor_at(&f.model.graph, 0, &outputs) && batch_tensor_at(&f.model.graph, 1, &h));
    batch_write_row(&f.batch, &outputs, 2, &buffer, &finite);
    batch_write_row(&f.batch, &h, 1, &buffer, &finite);
    must_have(&buffer, "[[200.0,201.0],[210.0,211.0]][1100.0,1101.0]");
    /* in a full array, shorter rows end with zeros */
    size_t shape[BATCH_MAX_RANK];
    float full[18];
    static const float want[18] = {0, 1, 10, 11, 20, 21, 100, 101, 0, 0, 0, 0, 200, 201, 210, 211, 0, 0};
    assert_int_equal(batch_tensor_shape(&f.batch, &outputs, shape), 3);
    assert_true(shape[0] == 3 && shape[1] == 3 && shape[2] == 2);
    assert_true(batch_copy_tensor(&f.batch, &outputs, full));
    assert_memory_equal(full, want, sizeof want);
    assert_int_equal(batch_tensor_shape(&f.batch, &h, shape), 2);
    assert_true(shape[0] == 3 && shape[1] == 2);
    assert_true(batch_copy_tensor(&f.batch, &h, full));
    assert_true(full[0] == 1000 && full[3] == 1101 && full[5] == 1201);
    batch_fixture_close(&f);
}

static void one_vector_a_row_without_sequences(void **state)
{
    (void)state;
    struct batch_fixture f;
    open_filled(&f, GRU, 1, "{'x': [[[1], [2]], [[3]]]}");
    outputs_must_be(&f, "[[0.0,1.0],[100.0,101.0]]");
    states_must_be(&f, "[[[[1000.0,1001.0],[1100.0,1101.0]]]]");
    batch_fixture_close(&f);
    /* also a single step of a layer with return_sequences */
    batch_fixture_open(&f, LSTM, 1);
    f.batch.single = true;
    batch_fixture_must_bind(&f, "{'x': [[1], [2]]}");
    fill(&f.batch);
    outputs_must_be(&f, "[[0.0,1.0],[100.0,101.0]]");
    struct batch_tensor outputs;
    size_t shape[BATCH_MAX_RANK];
    assert_true(batch_tensor_at(&f.model.graph, 0, &outputs));
    assert_int_equal(batch_tensor_shape(&f.batch, &outputs, shape), 2);
    assert_true(shape[0] == 2 && shape[1] == 2);
    batch_fixture_close(&f);
}

static void time_comes_first_where_the_layer_says_so(void **state)
{
    (void)state;
    struct batch_fixture f;
    open_filled(&f, TIME_MAJOR, 1, "{'x': [[[1], [2]], [[3], [4]], [[5], [6]]]}");
    outputs_must_be(&f, "[[[0.0,1.0],[100.0,101.0]],[[10.0,11.0],[110.0,111.0]],[[20.0,21.0],[120.0,121.0]]]");
    struct batch_tensor outputs;
    size_t shape[BATCH_MAX_RANK];
    float full[12];
    static const float want[] = {0, 1, 100, 101, 10, 11, 110, 111, 20, 21, 120, 121};
    assert_true(batch_tensor_at(&f.model.graph, 0, &outputs));
    assert_int_equal(batch_tensor_shape(&f.batch, &outputs, shape), 3);
    assert_true(shape[0] == 3 && shape[1] == 2 && shape[2] == 2);
    assert_true(batch_copy_tensor(&f.batch, &outputs, full));
    assert_memory_equal(full, want, sizeof want);
    batch_fixture_close(&f);
}

static void states_nest_as_cells_do(void **state)
{
    (void)state;
    struct batch_fixture f;
    open_filled(&f, NESTED, 2, "{'x': [[[1, 2]]]}");
    states_must_be(&f, "[[[[1000.0]]],[[[[1001.0,1002.0]],[[1003.0,1004.0]]],[[[1005.0]]]]]");
    struct buffer buffer = buffer_of(&f);
    batch_write_state_layers(&f.batch, &buffer);
    must_have(&buffer, "[\"rnn\",\"rnn\"]");
    batch_fixture_close(&f);
}

static void directions_have_outputs_and_states_of_their_own(void **state)
{
    (void)state;
    struct batch_fixture f;
    open_filled(&f, TWO_OUTPUTS, 0, "{'x': [[[1, 2], [3, 4]], [[5, 6]]]}");
    outputs_must_be(&f, "[[[[0.0],[10.0]],[[100.0]]],[[[1.0],[11.0]],[[101.0]]]]");
    states_must_be(&f, "[[[[1000.0,1001.0],[1100.0,1101.0]]],[[[1002.0],[1102.0]],[[1003.0],[1103.0]]],"
                       "[[[1004.0],[1104.0]],[[1005.0],[1105.0]]]]");
    struct buffer buffer = buffer_of(&f);
    batch_write_state_layers(&f.batch, &buffer);
    must_have(&buffer, "[\"g\",\"b\\\"/forward\",\"b\\\"/backward\"]");
    batch_fixture_close(&f);
}

static void tokens_are_whole_numbers(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, LSTM, 1);
    f.batch.rolled = 3;
    f.batch.tokens = true;
    batch_fixture_must_bind(&f, "{'x': [[[1]], [[2]]]}");
    fill(&f.batch);
    outputs_must_be(&f, "[[0,10,20],[100,110,120]]");
    batch_fixture_close(&f);
}

/* ---- NaN and infinity ---- */

static void nonfinite_numbers_are_found_in_their_row(void **state)
{
    (void)state;
    struct batch_fixture f;
    struct batch_tensor outputs;
    char path[64];
    bool finite = true;
    open_filled(&f, LSTM, 1, "{'x': [[[1], [2]], [[3]], [[4], [5], [6]]]}");
    assert_true(batch_is_finite(&f.batch));
    assert_int_equal(batch_nonfinite_row(&f.batch), 3);
    f.batch.rows[2].outputs[5] = INFINITY;
    assert_false(batch_is_finite(&f.batch));
    assert_int_equal(batch_nonfinite_row(&f.batch), 2);
    f.batch.rows[1].states[3] = NAN;
    assert_int_equal(batch_nonfinite_row(&f.batch), 1);
    assert_string_equal(batch_row_path(&f.batch, 1, path, sizeof path), "/instances/1");
    assert_true(batch_tensor_at(&f.model.graph, 0, &outputs));
    float *wide = calloc(3 * 3 * 2, sizeof *wide);
    assert_false(batch_copy_tensor(&f.batch, &outputs, wide));
    free(wide);
    struct buffer buffer = buffer_of(&f);
    batch_write_states(&f.batch, &buffer, &finite);
    assert_false(finite);
    finite = true;
    batch_write_outputs(&f.batch, &buffer, &finite);
    assert_false(finite);
    buffer_close(&buffer);
    batch_fixture_close(&f);
    struct batch none = {.model = NULL};
    assert_string_equal(batch_row_path(&none, 1, path, sizeof path), "");
}

static void answers_end_at_their_limit(void **state)
{
    (void)state;
    struct batch_fixture f;
    open_filled(&f, LSTM, 1, "{'x': [[[1], [2], [3]], [[4]]]}");
    struct buffer buffer = buffer_of(&f);
    bool finite = true;
    buffer.limit = 30;
    batch_write_outputs(&f.batch, &buffer, &finite);
    assert_true(buffer.too_large && finite);
    buffer_close(&buffer);
    batch_fixture_close(&f);
}

/* ---- stored answers ---- */

static void a_kept_answer_comes_back(void **state)
{
    (void)state;
    struct batch_fixture f;
    float kept[8];
    static const uint64_t steps[] = {3, 1};
    static const char body[] = "{'x': [[[1], [2], [3]], [[4]]]}";
    open_filled(&f, LSTM, 1, body);
    assert_int_equal(f.batch.outputs_floats, 8);
    batch_copy_answer(&f.batch, kept);
    batch_fixture_clear(&f);
    /* the repeated request may have other lengths; the stored answer keeps its own */
    batch_fixture_must_bind(&f, "{'x': [[[1]], [[4]]]}");
    assert_true(batch_bind_answer(&f.batch, steps, kept, 8, 2, true, &f.failure));
    outputs_must_be(&f, "[[[0.0,1.0],[10.0,11.0],[20.0,21.0]],[[100.0,101.0]]]");
    f.memory.limit = f.share.bytes;
    float *many = calloc(200, sizeof *many);
    static const uint64_t more[] = {50, 50};
    assert_false(batch_bind_answer(&f.batch, more, many, 200, 2, true, &f.failure));
    assert_string_equal(f.failure.code, "overloaded");
    assert_null(f.batch.outputs);
    free(many);
    batch_fixture_close(&f);

    /* a time-major batch is stored row by row */
    open_filled(&f, TIME_MAJOR, 1, "{'x': [[[1], [2]], [[3], [4]]]}");
    static const float want[] = {0, 1, 10, 11, 100, 101, 110, 111};
    batch_copy_answer(&f.batch, kept);
    assert_memory_equal(kept, want, sizeof want);
    batch_fixture_close(&f);
}

/* ---- in a team ---- */

/* Threads for a team: `invite` starts one and returns when it runs. */
struct helpers {
    struct team_host host;
    struct helper {
        pthread_t thread;
        struct team *team;
        size_t seat;
        sem_t *there;
    } all[16];
    size_t n;
    sem_t there;
};

static void *help(void *argument)
{
    struct helper *helper = argument;
    sem_post(helper->there);
    team_help(helper->team, helper->seat);
    return NULL;
}

static size_t invite(struct team_host *host, struct team *team, double nanoseconds)
{
    struct helpers *helpers = (struct helpers *)host;
    (void)nanoseconds;
    size_t seat = helpers->n < 16 ? team_enter(team) : 0;
    if (!seat)
        return 0;
    struct helper *helper = &helpers->all[helpers->n++];
    *helper = (struct helper){.team = team, .seat = seat, .there = &helpers->there};
    assert_int_equal(pthread_create(&helper->thread, NULL, help, helper), 0);
    sem_wait(&helpers->there);
    return 1;
}

static void withdraw(struct team_host *host, struct team *team)
{
    (void)host;
    (void)team;
}

static void close_team(struct team *team, struct helpers *helpers)
{
    team_close(team);
    while (helpers->n)
        pthread_join(helpers->all[--helpers->n].thread, NULL);
}

static void relax(struct team_host *host, size_t times)
{
    (void)host;
    (void)times;
    sched_yield();
}

/* The JSON of outputs and states, written by a team or by one thread. */
static struct buffer answer_of(struct batch_fixture *f, struct team *team, bool *finite)
{
    struct buffer buffer = buffer_of(f);
    f->batch.team = team;
    batch_write_outputs(&f->batch, &buffer, finite);
    batch_write_states(&f->batch, &buffer, finite);
    f->batch.team = NULL;
    return buffer;
}

static void same_as_alone(struct batch_fixture *f, struct team *team)
{
    bool finite = true, together = true;
    struct buffer alone = answer_of(f, NULL, &finite), shared = answer_of(f, team, &together);
    assert_int_equal(alone.used, shared.used);
    assert_memory_equal(alone.text, shared.text, alone.used);
    assert_int_equal(finite, together);
    buffer_close(&alone);
    buffer_close(&shared);
}

/* Rows of 1 to 1500 timesteps. */
static char *long_body(void)
{
    char *text = malloc(1 << 16), *p = text;
    static const int lengths[] = {1, 1500, 3, 1200, 2, 800};
    p += sprintf(p, "{'x': [");
    for (size_t b = 0; b < sizeof lengths / sizeof *lengths; b++) {
        p += sprintf(p, "%s[", b ? "," : "");
        for (int t = 0; t < lengths[b]; t++)
            p += sprintf(p, "%s[%d]", t ? "," : "", t % 10);
        p += sprintf(p, "]");
    }
    sprintf(p, "]}");
    return text;
}

static void a_team_writes_the_same_text(void **state)
{
    (void)state;
    static struct helpers helpers;
    helpers = (struct helpers){.host = {.invite = invite, .withdraw = withdraw, .relax = relax}};
    sem_init(&helpers.there, 0, 0);
    struct batch_fixture f;
    struct team team;
    char *body = long_body();
    batch_fixture_open(&f, "{'class_name': 'GRU', 'config': {'units': 16, 'return_sequences': true}}", 1);
    f.memory.limit = 1 << 28;
    f.limits = (struct batch_limits){8, 2000, 1 << 24};
    batch_fixture_must_bind(&f, body);
    fill(&f.batch);
    int64_t deadline = clock_ns() + 5 * INT64_C(1000000000);
    do { /* until a helper joined in time; on few or busy processors, none may */
        team_open(&team, &helpers.host, 2);
        same_as_alone(&f, &team);
        close_team(&team, &helpers);
    } while (!team.helped && clock_ns() < deadline);
    /* with NaN in the last row */
    f.batch.rows[5].outputs[799 * 16 + 15] = NAN;
    bool finite = true;
    team_open(&team, &helpers.host, 2);
    struct buffer buffer = answer_of(&f, &team, &finite);
    assert_false(finite);
    buffer_close(&buffer);
    close_team(&team, &helpers);
    sem_destroy(&helpers.there);
    free(body);
    batch_fixture_close(&f);
}

/* If the buffer's limit is below the longest possible text of all vectors, one thread writes them. */
static void a_team_needs_room_for_the_longest_text(void **state)
{
    (void)state;
    static struct team_host host = {.invite = invite, .withdraw = withdraw, .relax = relax};
    struct batch_fixture f;
    struct team team;
    bool finite = true;
    open_filled(&f, LSTM, 1, "{'x': [[[1], [2], [3]], [[4]]]}");
    f.batch.team = &team;
    team_open(&team, &host, 1);
    struct buffer buffer = buffer_of(&f);
    buffer.limit = 120;
    batch_write_outputs(&f.batch, &buffer, &finite);
    must_have(&buffer, "[[[0.0,1.0],[10.0,11.0],[20.0,21.0]],[[100.0,101.0]]]");
    same_as_alone(&f, &team);
    team_close(&team);
    batch_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tensors_have_names_and_places),
                                       cmocka_unit_test(sequences_keep_their_own_lengths),
                                       cmocka_unit_test(one_vector_a_row_without_sequences),
                                       cmocka_unit_test(time_comes_first_where_the_layer_says_so),
                                       cmocka_unit_test(states_nest_as_cells_do),
                                       cmocka_unit_test(directions_have_outputs_and_states_of_their_own),
                                       cmocka_unit_test(tokens_are_whole_numbers),
                                       cmocka_unit_test(nonfinite_numbers_are_found_in_their_row),
                                       cmocka_unit_test(answers_end_at_their_limit),
                                       cmocka_unit_test(a_kept_answer_comes_back),
                                       cmocka_unit_test(a_team_writes_the_same_text),
                                       cmocka_unit_test(a_team_needs_room_for_the_longest_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
