/* The cells against golden vectors of Keras 2.15 (x = cos(0..5), weights 0.5 sin(1, 2, …)), with the kernels of every
   instruction set of this CPU. */
#include "tests/unit/unit.h"

static void golden_inputs(float x[6])
{
    for (int i = 0; i < 6; i++)
        x[i] = (float)cos(i);
}

static void expect(const float *got, const double *want, size_t n)
{
    for (size_t i = 0; i < n; i++)
        assert_near((double)got[i], want[i], 3e-7); /* Keras printed seven digits; a few float32 roundings are
                                                       allowed */
}

typedef struct rnn_cell_spec *spec_maker(void);

static void check(spec_maker *make, const unsigned char *mask, size_t n_outputs, const double *outputs, size_t n_states,
                  const double *states)
{
    const struct vec_ops *vec;
    for (size_t v = 0; (vec = vec_available(v)); v++) {
        float x[6], y[32], s[32] = {0};
        struct rnn_recurrence layer = {.return_sequences = true};
        golden_inputs(x);
        unit_build(&layer.stack, make(), 2, vec, 0.5);
        unit_run(&layer, x, mask, 3, s, y);
        expect(y, outputs, n_outputs);
        expect(s, states, n_states);
        rnn_stack_close(&layer.stack);
    }
}

static struct rnn_cell_spec *three_cells(void)
{
    struct rnn_cell_spec *cells[] = {unit_leaf(&cell_lstm, 2), unit_leaf(&cell_gru, 3), unit_leaf(&cell_simple_rnn, 2)};
    return unit_stack(cells, 3);
}

static struct rnn_cell_spec *gru_before(void)
{
    struct rnn_cell_spec *spec = unit_leaf(&cell_gru, 2);
    spec->reset_after = false;
    return spec;
}

static struct rnn_cell_spec *odd_lstm(void)
{
    struct rnn_cell_spec *spec = unit_leaf(&cell_lstm, 2);
    spec->recurrent_activation = activation_find("hard_sigmoid")->activation;
    spec->activation = activation_find("softsign")->activation;
    return spec;
}

static void stack_of_lstm_gru_simple_rnn_is_keras(void **state)
{
    (void)state;
    static const double y[] = {.4411878, .5226998, .2555975, .3709138, .3418442, .4614458};
    static const double s[] = {-.1302036, .0752862, -.2139141, .1444033, -.2516928,
                               -.1210485, .1077109, .3418442,  .4614458};
    check(three_cells, NULL, 6, y, 9, s);
}

static void masked_stack_is_keras(void **state)
{
    (void)state;
    static const unsigned char mask[] = {1, 0, 1};
    static const double y[] = {.4411878, .5226998, .4411878, .5226998, .2661206, .3865823};
    static const double s[] = {-.1492508, .1215611, -.2481451, .2272282, -.2352981,
                               -.0912472, .1112199, .2661206,  .3865823};
    check(three_cells, mask, 6, y, 9, s);
}

static void gru_without_reset_after_is_keras(void **state)
{
    (void)state;
    static const double y[] = {-.2937111, -.1624263, .1911593, -.1015284, -.0203408, -.2565295};
    check(gru_before, NULL, 6, y, 2, y + 4);
}

static void lstm_with_other_activations_is_keras(void **state)
{
    (void)state;
    static const double y[] = {-.1558356, .0771970, -.1245759, -.0428591, -.0647138, .0485376};
    static const double s[] = {-.0647138, .0485376, -.1245832, .1050469};
    check(odd_lstm, NULL, 6, y, 4, s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stack_of_lstm_gru_simple_rnn_is_keras),
        cmocka_unit_test(masked_stack_is_keras),
        cmocka_unit_test(gru_without_reset_after_is_keras),
        cmocka_unit_test(lstm_with_other_activations_is_keras),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
