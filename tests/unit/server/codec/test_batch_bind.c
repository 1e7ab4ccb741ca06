/* Tensors of request bodies become rows, or an error that names the place and the reason. */
#include "batch_fixture.h"

static void rows_point_into_the_numbers_of_the_body(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, LSTM, 2);
    batch_fixture_must_bind(&f, "{'x': [[[1, 2], [3, 4], [5, 6]], [[7, 8]], [[9, 10], [11, 12]]]}");
    static const size_t lengths[] = {3, 1, 2}, starts[] = {0, 6, 8};
    assert_int_equal(f.batch.n_rows, 3);
    assert_int_equal(f.batch.timesteps, 6);
    for (size_t b = 0; b < 3; b++) {
        const struct rnn_row *row = &f.batch.rows[b];
        assert_ptr_equal(row->inputs, f.inputs.values + starts[b]);
        assert_int_equal(row->timesteps, lengths[b]);
        assert_int_equal(row->input_stride, 2);
        assert_null(row->mask);
        assert_ptr_equal(row->states, f.batch.states + b * 4);
        assert_ptr_equal(row->outputs, f.batch.outputs + starts[b]); /* as wide as the inputs */
        assert_int_equal(row->output_stride, 2);
        assert_int_equal(f.batch.steps[b], lengths[b]);
        assert_int_equal(f.batch.progress[b].done, 0);
    }
    for (size_t i = 0; i < 12; i++)
        assert_true(f.batch.states[i] == 0);
    assert_int_equal(f.batch.outputs_floats, 12);
    char path[64];
    assert_string_equal(batch_row_path(&f.batch, 2, path, sizeof path), "/instances/2");
    batch_fixture_close(&f);
}

static void one_vector_comes_out_without_sequences(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, GRU, 2);
    batch_fixture_must_bind(&f, "{'x': [[[1, 2], [3, 4]], [[5, 6]]]}");
    assert_int_equal(f.batch.outputs_floats, 4);
    assert_true(f.batch.steps[0] == 1 && f.batch.steps[1] == 1 && !f.batch.output.sequence);
    batch_fixture_close(&f);
}

static void time_comes_first_where_the_layer_says_so(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, TIME_MAJOR, 1);
    batch_fixture_must_bind(&f, "{'x': [[[1], [2]], [[3], [4]], [[5], [6]]], 'mask': [[1, 0], [true, true], [0, 1]]}");
    assert_int_equal(f.batch.n_rows, 2);
    for (size_t b = 0; b < 2; b++) {
        const struct rnn_row *row = &f.batch.rows[b];
        assert_int_equal(row->timesteps, 3);
        assert_int_equal(row->input_stride, 2);
        assert_ptr_equal(row->outputs, f.batch.outputs + b * 2);
        assert_int_equal(row->output_stride, 4);
        for (size_t t = 0; t < 3; t++) {
            assert_true(row->inputs[t * row->input_stride] == (float)(1 + 2 * t + b));
            assert_int_equal(row->mask[t * row->mask_stride], b ? t > 0 : t < 2);
        }
    }
    char path[64];
    assert_string_equal(batch_row_path(&f.batch, 1, path, sizeof path), "/instances/0/1");
    batch_fixture_close(&f);
}

static void a_mask_is_as_ragged_as_its_rows(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, LSTM, 1);
    batch_fixture_must_bind(&f, "{'x': [[[1], [2], [3]], [[4]], [[5], [6]]], 'mask': [[1, 0, true], [false], [0, 1]]}");
    static const unsigned char want[] = {1, 0, 1, 0, 0, 1};
    assert_memory_equal(f.batch.mask, want, sizeof want);
    static const size_t starts[] = {0, 3, 4};
    for (size_t b = 0; b < 3; b++) {
        assert_ptr_equal(f.batch.rows[b].mask, f.batch.mask + starts[b]);
        assert_int_equal(f.batch.rows[b].mask_stride, 1);
    }
    batch_fixture_close(&f);
}

static void single_steps_vectors_and_ids_are_flat(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, TIME_MAJOR, 2);
    f.batch.single = true;
    batch_fixture_must_bind(&f, "{'x': [[1, 2], [3, 4], [5, 6]]}");
    assert_int_equal(f.batch.n_rows, 3);
    assert_int_equal(f.batch.rows[2].timesteps, 1);
    assert_true(f.batch.rows[2].inputs[0] == 5 && f.batch.rows[2].inputs[1] == 6);
    batch_fixture_close(&f);

    batch_fixture_open(&f, DENSE, 0);
    batch_fixture_must_bind(&f, "{'x': [[1, 2, 3], [4, 5, 6]]}");
    assert_true(f.batch.n_rows == 2 && f.batch.rows[1].timesteps == 1 && f.batch.rows[1].inputs[0] == 4);
    assert_int_equal(f.batch.outputs_floats, 4);
    batch_fixture_close(&f);

    batch_fixture_open(&f, IDS, 0);
    batch_fixture_must_bind(&f, "{'x': [[4, 0, 4.9], [3, -0.5]], 'mask': [[1, 1, 0], [1, 1]]}");
    assert_true(f.batch.n_rows == 2 && f.batch.rows[0].timesteps == 3 && f.batch.rows[1].timesteps == 2);
    assert_true(f.batch.rows[1].inputs[0] == 3);
    batch_fixture_close(&f);
}

/* A body, and the error for it. */
struct refusal {
    const char *model;
    size_t features;
    const char *body;
    int status;
    const char *code, *path, *text;
};

static void check_refusals(const struct refusal *rows, size_t n, bool single)
{
    for (size_t i = 0; i < n; i++) {
        const struct refusal *r = &rows[i];
        struct batch_fixture f;
        batch_fixture_open(&f, r->model, r->features);
        f.batch.single = single;
        if (batch_fixture_bind(&f, r->body))
            fail_msg("%s is taken", r->body);
        if (f.failure.status != r->status || strcmp(f.failure.code, r->code) || strcmp(f.failure.path, r->path) ||
            strcmp(f.failure.text, r->text))
            fail_msg("%s: %d %s at \"%s\": %s", r->body, f.failure.status, f.failure.code, f.failure.path,
                     f.failure.text);
        batch_fixture_close(&f);
    }
}

#define N_OF(rows) (sizeof(rows) / sizeof *(rows))

static void wrong_inputs_are_refused_with_their_place(void **state)
{
    (void)state;
    static const char empty[] = "empty_input", shape[] = "wrong_shape";
    static const struct refusal rows[] = {
        {LSTM, 2, "{}", 400, "missing_key", "", "The body needs \"instances\"."},
        {LSTM, 2, "{'x': []}", 400, empty, "/instances", "There is nothing to predict: the list is empty."},
        {LSTM, 2, "{'x': [1, 2]}", 400, shape, "/instances",
         "Expected [batch][timesteps][features] with 2 features; found numbers."},
        {LSTM, 2, "{'x': [[1, 2]]}", 400, shape, "/instances/0",
         "Expected a list of timesteps, each a list of 2 features; found numbers."},
        {LSTM, 2, "{'x': [[[1, 2]], []]}", 400, empty, "/instances/1", "This sequence has no timesteps."},
        {LSTM, 2, "{'x': [[[1, 2]], [[1, 2], [3]]]}", 400, shape, "/instances/1/1", "Expected 2 features, found 1."},
        {LSTM, 2, "{'x': [[[]]]}", 400, shape, "/instances/0/0", "Expected 2 features, found 0."},
        {LSTM, 2, "{'x': [[[[1, 2]]]]}", 400, shape, "/instances/0/0",
         "Expected 2 numbers, the features of one timestep, found lists."},
        {LSTM, 2, "{'x': [[[1, 2]],[[1, 2]],[[1, 2]],[[1, 2]],[[1, 2]],[[1, 2]],[[1, 2]],[[1, 2]],[[1, 2]]]}", 413,
         "too_many_rows", "/instances", "Expected at most 8 sequences (limits.max_rows), found 9."},
        {TIME_MAJOR, 1, "{'x': [[[1], [2]], []]}", 400, empty, "/instances/1", "This timestep has no sequences."},
        {TIME_MAJOR, 1, "{'x': [[[1], [2]], [[3]]]}", 400, shape, "/instances/1",
         "Expected 2 sequences as at the first timestep, found 1."},
        {DENSE, 0, "{'x': [1, 2, 3]}", 400, shape, "/instances",
         "Expected [batch][features], lists of 3 numbers; found numbers."},
        {DENSE, 0, "{'x': [[1, 2, 3], [1, 2]]}", 400, shape, "/instances/1", "Expected 3 features, found 2."},
        {DENSE, 0, "{'x': [[1, 2, 3]], 'mask': [[1]]}", 400, shape, "/mask",
         "This model takes vectors, which have no timesteps."},
        {IDS, 0, "{'x': [1, 2]}", 400, shape, "/instances",
         "Expected [batch][timesteps], lists of whole numbers; found numbers."},
        {IDS, 0, "{'x': [[1], []]}", 400, empty, "/instances/1", "This sequence has no timesteps."},
        {IDS, 0, "{'x': [[1], [[2]]]}", 400, shape, "/instances/1",
         "Expected a list of whole numbers, one for each timestep; found lists."},
        {IDS, 0, "{'x': [[1], [2, 5]]}", 400, "id_out_of_range", "/instances/1/1",
         "Expected a whole number from 0 to 4, a row of the Embedding, found 5."},
        {IDS, 0, "{'x': [[-1]]}", 400, "id_out_of_range", "/instances/0/0",
         "Expected a whole number from 0 to 4, a row of the Embedding, found -1."},
    };
    check_refusals(rows, N_OF(rows), false);
    static const struct refusal steps[] = {
        {TIME_MAJOR, 2, "{'x': [[1, 2], [3]]}", 400, shape, "/instances/1", "Expected 2 features, found 1."},
        {LSTM, 2, "{'x': [3, 4]}", 400, shape, "/instances",
         "Expected [batch][features], lists of 2 numbers; found numbers."},
    };
    check_refusals(steps, N_OF(steps), true);
}

static void wrong_masks_are_refused_with_their_place(void **state)
{
    (void)state;
    static const struct refusal rows[] = {
        {LSTM, 1, "{'x': [[[1]], [[2]]], 'mask': [[1]]}", 400, "wrong_shape", "/mask",
         "Expected 2 lists, as many as instances has, found 1 elements."},
        {LSTM, 1, "{'x': [[[1]], [[2]]], 'mask': [1, 0]}", 400, "wrong_shape", "/mask",
         "Expected 2 lists, as many as instances has, found 2 elements."},
        {LSTM, 1, "{'x': [[[1]], [[2]]], 'mask': [[1], [1, 0]]}", 400, "wrong_shape", "/mask/1",
         "Expected 1 values, one for each of instances, found 2."},
        {LSTM, 1, "{'x': [[[1]], [[2]]], 'mask': [[1], [[1]]]}", 400, "wrong_shape", "/mask/1",
         "Expected 1 values, one for each of instances, found 1."},
        {TIME_MAJOR, 1, "{'x': [[[1], [2]], [[3], [4]]], 'mask': [[1, 1], [1]]}", 400, "wrong_shape", "/mask/1",
         "Expected 2 values, one for each of instances, found 1."},
        {TIME_MAJOR, 1, "{'x': [[[1], [2]]], 'mask': [[1], [1]]}", 400, "wrong_shape", "/mask",
         "Expected 1 lists, as many as instances has, found 2 elements."},
    };
    check_refusals(rows, N_OF(rows), false);
}

static void limits_hold_for_timesteps_and_answers(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, LSTM, 1);
    f.limits.max_timesteps = 2;
    assert_false(batch_fixture_bind(&f, "{'x': [[[1]], [[2], [3], [4]], [[1], [2]]]}"));
    assert_int_equal(f.failure.status, 413);
    assert_string_equal(f.failure.code, "too_many_timesteps");
    assert_string_equal(f.failure.path, "/instances/1");
    assert_string_equal(f.failure.text, "Expected at most 2 timesteps (limits.max_timesteps), found 3.");
    batch_fixture_clear(&f);
    f.limits.max_response_bytes = 23; /* six numbers of at least four bytes each */
    static const char body[] = "{'x': [[[1]], [[2], [3]]]}";
    assert_false(batch_fixture_bind(&f, body));
    assert_int_equal(f.failure.status, 413);
    assert_string_equal(f.failure.code, "response_too_large");
    assert_string_equal(f.failure.text, "The answer would be larger than 23 bytes (limits.max_response_bytes); send "
                                        "fewer or shorter sequences.");
    batch_fixture_clear(&f);
    f.limits.max_response_bytes = 24;
    batch_fixture_must_bind(&f, body);
    batch_fixture_clear(&f);
    f.limits.max_response_bytes = 0; /* outputs that go into a stream are not kept */
    f.batch.fleeting = true;
    batch_fixture_must_bind(&f, body);
    assert_true(!f.batch.outputs && !f.batch.outputs_floats && f.batch.steps[1] == 2);
    batch_fixture_close(&f);
}

static void whole_sequences_have_the_length_of_the_model(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, LSTM, 1);
    f.model.fixed_timesteps = 2;
    static const char body[] = "{'x': [[[1], [2]], [[3]]]}";
    assert_false(batch_fixture_bind(&f, body));
    assert_string_equal(f.failure.code, "wrong_shape");
    assert_string_equal(f.failure.path, "/instances/1");
    assert_string_equal(f.failure.text, "Expected 2 timesteps, the fixed length of this model, found 1. Send a "
                                        "sequence in parts only in a session, or with its states.");
    batch_fixture_clear(&f);
    f.batch.any_length = true;
    batch_fixture_must_bind(&f, body);
    batch_fixture_close(&f);
}

/* Flatten needs a sequence of fixed length. */
static void outputs_that_a_model_cannot_give_are_refused(void **state)
{
    (void)state;
    static const char pooled[] =
        SEQUENTIAL(INPUT("[null, null, 1]") "{'class_name': 'GRU', 'config': {'name': 'g', 'units': 2, "
                                            "'return_sequences': true}}, {'class_name': 'GlobalMaxPooling1D', "
                                            "'config': {'name': 'p'}}");
    struct batch_fixture f;
    batch_fixture_open(&f, pooled, 0);
    f.batch.sequences = false;
    assert_false(batch_fixture_bind(&f, "{'x': [[[1], [2]]]}"));
    assert_int_equal(f.failure.status, 400);
    assert_string_equal(f.failure.code, "wrong_shape");
    assert_string_equal(f.failure.path, "/return_sequences");
    assert_true(!strncmp(f.failure.text, "This model does not accept these inputs: ", 41));
    batch_fixture_clear(&f);
    f.key = "inputs/0";
    batch_fixture_must_bind(&f, "{'x': [[[1], [2]]]}");
    assert_int_equal(f.batch.outputs_floats, 2);
    char path[64];
    assert_string_equal(batch_row_path(&f.batch, 0, path, sizeof path), "/inputs/0/0");
    batch_fixture_close(&f);
}

static void a_rollout_has_its_own_steps(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, LSTM, 2);
    f.batch.rolled = 5;
    batch_fixture_must_bind(&f, "{'x': [[[1, 2]], [[3, 4], [5, 6]]]}");
    assert_true(f.batch.steps[0] == 5 && f.batch.steps[1] == 5 && f.batch.outputs_floats == 20);
    f.batch.progress[0] = (struct row_progress){.done = 1, .given = 4};
    assert_false(batch_row_is_done(&f.batch, 0));
    f.batch.progress[0].given = 5;
    assert_true(batch_row_is_done(&f.batch, 0));
    batch_rewind(&f.batch);
    assert_false(batch_row_is_done(&f.batch, 0));
    batch_fixture_clear(&f);
    f.batch.rolled = 3;
    f.batch.tokens = true;
    batch_fixture_must_bind(&f, "{'x': [[[1, 2]]]}");
    assert_true(f.batch.output.width == 1 && f.batch.outputs_floats == 3);
    batch_fixture_close(&f);
}

/* ---- states ---- */

static void states_nest_as_cells_do(void **state)
{
    (void)state;
    /* row by row: h of SimpleRNN(1), h and c of LSTM(2), h of GRU(1) */
    static const float by_rows[2][6] = {{1, 3, 4, 7, 8, 11}, {2, 5, 6, 9, 10, 12}};
    static const char *const bodies[] = {
        /* [h] for a cell of one state */
        "{'x': [[[1, 2]], [[1, 2]]], 'initial_state': [[[[1], [2]]], [[[[3, 4], [5, 6]], [[7, 8], [9, 10]]], "
        "[[[11], [12]]]]]}",
        /* h without the list */
        "{'x': [[[1, 2]], [[1, 2]]], 'initial_state': [[[1], [2]], [[[[3, 4], [5, 6]], [[7, 8], [9, 10]]], "
        "[[11], [12]]]]}",
    };
    for (size_t i = 0; i < N_OF(bodies); i++) {
        struct batch_fixture f;
        batch_fixture_open(&f, NESTED, 2);
        batch_fixture_must_bind(&f, bodies[i]);
        assert_int_equal(f.model.graph.state_elems, 6);
        assert_int_equal(batch_rows_of_states(&f.states), 2);
        for (size_t b = 0; b < 2; b++)
            for (size_t k = 0; k < 6; k++)
                assert_true(f.batch.rows[b].states[k] == by_rows[b][k]);
        batch_fixture_close(&f);
    }
}

static void layers_and_directions_have_entries_one_after_the_other(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, TWO_OUTPUTS, 0);
    batch_fixture_must_bind(&f, "{'x': [[[1, 2]]], 'initial_state': [[[1, 2]], [[[3]], [[4]]], [[[5]], [[6]]]]}");
    for (size_t k = 0; k < 6; k++)
        assert_true(f.batch.states[k] == (float)(k + 1));
    /* one named state of all rows */
    struct batch_tensor tensor;
    static const float value[] = {9};
    assert_true(batch_tensor_at(&f.model.graph, 4, &tensor));
    assert_string_equal(tensor.name, "state.1.c");
    batch_bind_state(&f.batch, &tensor, value);
    for (size_t k = 0; k < 6; k++)
        assert_true(f.batch.states[k] == (k == 3 ? 9 : (float)(k + 1)));
    batch_fixture_close(&f);
}

static void wrong_states_are_refused_with_their_place(void **state)
{
    (void)state;
#define STATES(text) "{'x': [[[1, 2]]], 'initial_state': " text "}"
    static const char shape[] = "wrong_shape";
    static const struct refusal rows[] = {
        {NESTED, 2, STATES("[[[1]]]"), 400, shape, "/initial_state",
         "Expected a list of 2 entries, one for each cell, found 1."},
        {NESTED, 2, STATES("[1, 2]"), 400, shape, "/initial_state",
         "Expected a list of 2 entries, one for each cell, found 2."},
        {NESTED, 2, STATES("[[[[1]], [[2]]], [[]]]"), 400, shape, "/initial_state/0",
         "Expected a list of the 1 states of this cell, found 2."},
        {NESTED, 2, STATES("[[[1]], [[[[1, 2]]]]]"), 400, shape, "/initial_state/1",
         "Expected a list of 2 entries, one for each cell, found 1."},
        {NESTED, 2, STATES("[[[1]], [[[[1, 2]]], [[1]]]]"), 400, shape, "/initial_state/1/0",
         "Expected a list of the 2 states of this cell, found 1."},
        {NESTED, 2, STATES("[[[1]], [[[[1, 2]], [[3]]], [[1]]]]"), 400, shape, "/initial_state/1/0/1/0",
         "Expected 2 numbers, found 1 elements."},
        {NESTED, 2, STATES("[[[1]], [[[[1, 2]], [[3, 4], [5, 6]]], [[1]]]]"), 400, shape, "/initial_state/1/0/1",
         "Expected [batch][units]: 1 lists, one for each sequence, found 2 elements."},
        {DENSE, 0, "{'x': [[1, 2, 3]], 'initial_state': [[[1]]]}", 400, shape, "/initial_state",
         "Expected a list of 0 entries, one for each cell, found 1."},
    };
    check_refusals(rows, N_OF(rows), false);
    /* a model without cells has an empty list */
    struct batch_fixture f;
    batch_fixture_open(&f, DENSE, 0);
    batch_fixture_must_bind(&f, "{'x': [[1, 2, 3]], 'initial_state': []}");
    batch_fixture_close(&f);
}

static void states_alone_tell_their_rows(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        size_t rows;
    } cases[] = {{"{'initial_state': [[[[1, 2], [3, 4], [5, 6]], [[1, 2], [3, 4], [5, 6]]]]}", 3},
                 {"{'initial_state': [[], [[[1, 2]]]]}", 1},
                 {"{'initial_state': []}", 0},
                 {"{'initial_state': [1]}", 0},
                 {"{}", 0}};
    for (size_t i = 0; i < N_OF(cases); i++) {
        struct batch_fixture f;
        batch_fixture_open(&f, LSTM, 1);
        batch_fixture_read(&f, cases[i].body);
        assert_int_equal(batch_rows_of_states(&f.states), cases[i].rows);
        if (cases[i].rows == 3) { /* as for PUT of a session, which has no inputs */
            f.batch.model = &f.model;
            f.batch.share = &f.share;
            f.batch.n_rows = 3;
            assert_true(batch_bind_states(&f.batch, &f.states, "states", &f.failure));
            assert_true(f.batch.states[4] == 3 && f.batch.states[6] == 3 && f.batch.states[11] == 6);
        }
        batch_fixture_close(&f);
    }
}

/* ---- memory ---- */

/* With any limit below the memory that is needed, the body is refused with 503 and all memory is released. */
static void memory_may_end_anywhere(void **state)
{
    (void)state;
    struct batch_fixture f;
    static const char body[] = "{'x': [[[1], [2]], [[3]]], 'mask': [[1, 0], [1]], 'initial_state': "
                               "[[[[1, 2], [3, 4]], [[1, 2], [3, 4]]]]}";
    batch_fixture_open(&f, LSTM, 1);
    batch_fixture_must_bind(&f, body);
    size_t most = f.share.bytes, refused = 0;
    batch_close(&f.batch);
    size_t bodies = f.share.bytes;
    batch_fixture_clear(&f);
    for (size_t limit = bodies; limit < most; limit++, refused++) {
        f.memory.limit = limit;
        assert_false(batch_fixture_bind(&f, body));
        assert_int_equal(f.failure.status, 503);
        assert_string_equal(f.failure.code, "overloaded");
        batch_fixture_clear(&f);
    }
    assert_true(refused > 100);
    f.memory.limit = most;
    batch_fixture_must_bind(&f, body);
    batch_fixture_close(&f);
}

static void too_many_states_do_not_fit(void **state)
{
    (void)state;
    struct batch_fixture f;
    batch_fixture_open(&f, LSTM, 1);
    f.batch.model = &f.model;
    f.batch.share = &f.share;
    assert_false(batch_zero_states(&f.batch, SIZE_MAX / 2, &f.failure));
    assert_string_equal(f.failure.code, "too_many_rows");
    batch_fixture_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rows_point_into_the_numbers_of_the_body),
                                       cmocka_unit_test(one_vector_comes_out_without_sequences),
                                       cmocka_unit_test(time_comes_first_where_the_layer_says_so),
                                       cmocka_unit_test(a_mask_is_as_ragged_as_its_rows),
                                       cmocka_unit_test(single_steps_vectors_and_ids_are_flat),
                                       cmocka_unit_test(wrong_inputs_are_refused_with_their_place),
                                       cmocka_unit_test(wrong_masks_are_refused_with_their_place),
                                       cmocka_unit_test(limits_hold_for_timesteps_and_answers),
                                       cmocka_unit_test(whole_sequences_have_the_length_of_the_model),
                                       cmocka_unit_test(outputs_that_a_model_cannot_give_are_refused),
                                       cmocka_unit_test(a_rollout_has_its_own_steps),
                                       cmocka_unit_test(states_nest_as_cells_do),
                                       cmocka_unit_test(layers_and_directions_have_entries_one_after_the_other),
                                       cmocka_unit_test(wrong_states_are_refused_with_their_place),
                                       cmocka_unit_test(states_alone_tell_their_rows),
                                       cmocka_unit_test(memory_may_end_anywhere),
                                       cmocka_unit_test(too_many_states_do_not_fit)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
