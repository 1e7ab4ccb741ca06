#include "tests/unit/unit.h"

enum { F = 3, U = 5, S = 2 * U };

static void build(struct rnn_recurrence *layer, const struct vec_ops *vec)
{
    unit_build(&layer->stack, unit_leaf(&cell_lstm, U), F, vec, 0.4);
}

static void random_floats(float *x, size_t n, unsigned seed)
{
    for (size_t i = 0; i < n; i++)
        x[i] = unit_random(&seed);
}

/* A sequence that is split gives the same bits as the whole sequence, if the second part starts from the states of the
   first. */
static void split_sequences_continue_exactly(void **state)
{
    (void)state;
    enum { T = 300 };
    static float x[T * F], whole[T * U], parts[T * U];
    const struct vec_ops *vec;
    random_floats(x, T * F, 1);
    for (size_t v = 0; (vec = vec_available(v)); v++) {
        struct rnn_recurrence layer = {.return_sequences = true};
        build(&layer, vec);
        for (size_t split = 1; split < T; split += 37) {
            float a[S] = {0}, b[S] = {0};
            unit_run(&layer, x, NULL, T, a, whole);
            unit_run(&layer, x, NULL, split, b, parts);
            unit_run(&layer, x + split * F, NULL, T - split, b, parts + split * U);
            assert_memory_equal(whole, parts, sizeof whole);
            assert_memory_equal(a, b, sizeof a);
        }
        rnn_stack_close(&layer.stack);
    }
}

/* A row has the same bits alone and in a batch of rows of other lengths, with every kernel. */
static void rows_do_not_depend_on_each_other(void **state)
{
    (void)state;
    enum { ROWS = 23, T = 40 };
    static float x[ROWS * T * F], together[ROWS * T * U], alone[T * U], states[ROWS * S];
    const struct vec_ops *vec;
    random_floats(x, ROWS * T * F, 2);
    for (size_t v = 0; (vec = vec_available(v)); v++)
        for (size_t n = 1; n <= ROWS; n += 1 + n / 4) {
            struct rnn_recurrence layer = {.return_sequences = true};
            struct rnn_row rows[ROWS], *order[ROWS];
            struct arena arena = {0};
            size_t bytes, left = n;
            build(&layer, vec);
            memset(states, 0, sizeof states);
            for (size_t r = 0; r < n; r++)
                rows[r] = (struct rnn_row){.inputs = x + r * T * F,
                                           .timesteps = 1 + (r * 7) % T,
                                           .input_stride = F,
                                           .states = states + r * S,
                                           .outputs = together + r * T * U,
                                           .output_stride = U,
                                           .sequences = true};
            assert_true(rnn_recurrence_scratch(&layer, n, &bytes) && arena_reserve(&arena, bytes));
            rnn_recurrence_begin(&layer, rows, n, order);
            while ((left = rnn_recurrence_advance(&layer, order, left, &arena, NULL)))
                ;
            for (size_t r = 0; r < n; r++) {
                float s[S] = {0};
                unit_run(&layer, x + r * T * F, NULL, rows[r].timesteps, s, alone);
                assert_memory_equal(alone, together + r * T * U, rows[r].timesteps * U * sizeof(float));
                assert_memory_equal(s, states + r * S, sizeof s);
            }
            arena_close(&arena);
            rnn_stack_close(&layer.stack);
        }
}

static void go_backwards_takes_the_last_step_first(void **state)
{
    (void)state;
    enum { T = 7 };
    float x[T * F], reversed[T * F], a[T * U], b[T * U], sa[S] = {0}, sb[S] = {0};
    struct rnn_recurrence forward = {.return_sequences = true},
                          backward = {.return_sequences = true, .go_backwards = true};
    random_floats(x, T * F, 3);
    for (size_t t = 0; t < T; t++)
        memcpy(reversed + t * F, x + (T - 1 - t) * F, F * sizeof *x);
    build(&forward, vec_select(NULL));
    build(&backward, vec_select(NULL));
    static const unsigned char mask[] = {0, 1, 1, 0, 1, 1, 1}, mirrored[] = {1, 1, 1, 0, 1, 1, 0};
    unit_run(&backward, x, mask, T, sa, a);
    unit_run(&forward, reversed, mirrored, T, sb, b);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_equal(sa, sb, sizeof sa);
    rnn_stack_close(&forward.stack);
    rnn_stack_close(&backward.stack);
}

/* Outputs and states for every pattern of six mask bits, against a run of the unmasked timesteps alone. */
static void masks_follow_keras(void **state)
{
    (void)state;
    enum { T = 6 };
    float x[T * F];
    random_floats(x, T * F, 4);
    for (int zero = 0; zero < 2; zero++)
        for (unsigned bits = 0; bits < 1u << T; bits++) {
            struct rnn_recurrence layer = {.return_sequences = true, .zero_output_for_mask = zero};
            unsigned char mask[T];
            float y[T * U], last[U], s[S], want_s[S], packed[T * F], want[T * U], zeros[U] = {0};
            size_t n = 0;
            build(&layer, vec_select(NULL));
            for (size_t i = 0; i < S; i++)
                s[i] = want_s[i] = 0.25f; /* an initial state, which does not appear in the outputs of masked timesteps
                                             at the start */
            for (size_t t = 0; t < T; t++) {
                mask[t] = bits >> t & 1;
                if (mask[t])
                    memcpy(packed + n++ * F, x + t * F, F * sizeof *x);
            }
            unit_run(&layer, x, mask, T, s, y);
            if (n)
                unit_run(&layer, packed, NULL, n, want_s, want);
            assert_memory_equal(s, want_s, sizeof s);
            const float *previous = zeros;
            for (size_t t = 0, k = 0; t < T; t++) {
                const float *expected = mask[t] ? want + k++ * U : zero ? zeros : previous;
                assert_memory_equal(y + t * U, expected, sizeof zeros);
                if (mask[t])
                    previous = expected;
            }
            struct rnn_row row = {.inputs = x,
                                  .timesteps = T,
                                  .input_stride = F,
                                  .mask = mask,
                                  .mask_stride = 1,
                                  .states = s,
                                  .outputs = last},
                           *order[1];
            struct arena arena = {0};
            size_t bytes;
            for (size_t i = 0; i < S; i++)
                s[i] = 0.25f;
            assert_true(rnn_recurrence_scratch(&layer, 1, &bytes) && arena_reserve(&arena, bytes));
            rnn_recurrence_begin(&layer, &row, 1, order);
            assert_int_equal(rnn_recurrence_advance(&layer, order, 1, &arena, NULL), 0);
            assert_memory_equal(last, y + (T - 1) * U, sizeof last);
            arena_close(&arena);
            rnn_stack_close(&layer.stack);
        }
}

static void nan_stays_in_its_row(void **state)
{
    (void)state;
    const struct vec_ops *vec;
    for (size_t v = 0; (vec = vec_available(v)); v++) {
        struct rnn_recurrence layer = {.return_sequences = true};
        struct arena arena = {0};
        size_t bytes, left = 2;
        float x[2][2 * F], y[2][2 * U], s[2][S] = {{0}}, alone[2 * U], zero[S] = {0};
        build(&layer, vec);
        random_floats(x[0], 2 * F, 5);
        random_floats(x[1], 2 * F, 6);
        x[0][1] = NAN;
        struct rnn_row rows[2], *order[2];
        for (size_t r = 0; r < 2; r++)
            rows[r] = (struct rnn_row){.inputs = x[r],
                                       .timesteps = 2,
                                       .input_stride = F,
                                       .states = s[r],
                                       .outputs = y[r],
                                       .output_stride = U,
                                       .sequences = true};
        assert_true(rnn_recurrence_scratch(&layer, 2, &bytes) && arena_reserve(&arena, bytes));
        rnn_recurrence_begin(&layer, rows, 2, order);
        while ((left = rnn_recurrence_advance(&layer, order, left, &arena, NULL)))
            ;
        for (size_t u = 0; u < 2 * U; u++)
            assert_true(isnan(y[0][u]));
        unit_run(&layer, x[1], NULL, 2, zero, alone);
        assert_memory_equal(alone, y[1], sizeof alone);
        arena_close(&arena);
        rnn_stack_close(&layer.stack);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(split_sequences_continue_exactly),
        cmocka_unit_test(rows_do_not_depend_on_each_other),
        cmocka_unit_test(go_backwards_takes_the_last_step_first),
        cmocka_unit_test(masks_follow_keras),
        cmocka_unit_test(nan_stays_in_its_row),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
