/* The example of core/rnn.h, which the Makefile extracts from the header's comment, against outputs of Keras. */
#include "core/rnn.h"
#include "tests/unit/unit.h"

#include <math.h>
#include <stdio.h>

enum { FEATURES = 2, UNITS = 2, TIMESTEPS = 3 };

static void example(const float *inputs, const float *kernel, const float *recurrent_kernel, const float *bias,
                    float *states, float *outputs)
{
#include "rnn_example.inc"
}

/* Keras 2.15: an LSTMCell(2) with weights 0.5 sin(1), 0.5 sin(2), … over cos(0) … cos(5). */
static void the_example_of_the_header_is_keras_lstm(void **state)
{
    (void)state;
    static const float h[] = {-0.1302036f, 0.0752862f}, c[] = {-0.2139141f, 0.1444033f};
    float inputs[TIMESTEPS * FEATURES], weights[40], states[2 * UNITS] = {0}, outputs[TIMESTEPS * UNITS] = {0};
    for (size_t i = 0; i < TIMESTEPS * FEATURES; i++)
        inputs[i] = (float)cos((double)i);
    for (size_t i = 0; i < 40; i++)
        weights[i] = (float)(0.5 * sin((double)i + 1));
    example(inputs, weights, weights + 16, weights + 32, states, outputs);
    for (size_t u = 0; u < UNITS; u++) {
        assert_true(fabsf(states[u] - h[u]) < 1e-6f);
        assert_true(fabsf(states[UNITS + u] - c[u]) < 1e-6f);
        assert_true(outputs[(TIMESTEPS - 1) * UNITS + u] == states[u]);
        assert_true(outputs[u] != 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_example_of_the_header_is_keras_lstm)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
