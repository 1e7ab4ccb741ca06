/* Compares the NEON kernels with plain C. It is cross-compiled with core alone, without a test library, and runs under
   qemu. It prints lines that tests/run.sh counts. */
#include "core/rnn.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A stub: vec_select.c refers to this table, but there is no OpenBLAS for the cross-compiler. */
const struct vec_ops vec_openblas = {.name = "openblas"}, vec_openblas_rows = {.name = "openblas"};
bool vec_openblas_tiles_are_invariant(void)
{
    return false;
}

static int failures;

static void check(const char *name, bool good)
{
    printf("[ %s ] %s\n", good ? "      OK" : " FAILED ", name);
    failures += !good;
}

static float draw(unsigned *state)
{
    *state = *state * 1664525u + 1013904223u;
    return (float)(*state >> 8) * 0x1p-23f - 1.0f;
}

static float *random_floats(size_t n, float scale, unsigned seed)
{
    float *x = rnn_alloc(n, sizeof *x);
    for (size_t i = 0; i < n; i++)
        x[i] = scale * draw(&seed);
    return x;
}

/* A stack of one cell, with the same weights for every table. */
static void build(struct rnn_recurrence *layer, const struct cell_class *class, size_t units, bool reset_after,
                  enum activation_kind activation, const struct vec_ops *vec, enum packed_format format)
{
    struct rnn_cell_spec *spec = rnn_cell_spec_new(class);
    struct cell_tensor shapes[CELL_MAX_TENSORS];
    const float *tensors[1][CELL_MAX_TENSORS] = {{NULL}};
    spec->units = units;
    spec->reset_after = reset_after;
    spec->activation.kind = activation;
    size_t n = cell_tensors(spec, 5, shapes);
    for (size_t t = 0; t < n; t++) {
        size_t elements;
        cell_tensor_elements(&shapes[t], &elements);
        tensors[0][shapes[t].slot] = random_floats(elements, 1 / sqrtf((float)units), (unsigned)t + 1);
    }
    *layer = (struct rnn_recurrence){.return_sequences = true};
    if (rnn_stack_init(&layer->stack, spec, 5, (const float *const(*)[CELL_MAX_TENSORS])tensors, vec, format, NULL))
        abort();
    for (size_t t = 0; t < CELL_MAX_TENSORS; t++)
        free((void *)tensors[0][t]);
}

enum { STEPS = 6, MAX_ROWS = 17, MAX_UNITS = 70 };

static void run(const struct rnn_recurrence *layer, size_t rows, float *outputs)
{
    static float states[MAX_ROWS][2 * MAX_UNITS];
    struct rnn_row row[MAX_ROWS], *order[MAX_ROWS];
    struct arena arena = {0};
    size_t bytes, units = layer->stack.output_size;
    float *inputs = random_floats(MAX_ROWS * STEPS * 5, 1, 9);
    memset(states, 0, sizeof states);
    for (size_t r = 0; r < rows; r++)
        row[r] = (struct rnn_row){.inputs = inputs + r * STEPS * 5,
                                  .timesteps = STEPS,
                                  .input_stride = 5,
                                  .states = states[r],
                                  .outputs = outputs + r * STEPS * units,
                                  .output_stride = (ptrdiff_t)units,
                                  .sequences = true};
    if (!rnn_recurrence_scratch(layer, rows, &bytes) || !arena_reserve(&arena, bytes))
        abort();
    const struct rnn_recurrence_means means = {.order = order, .arena = &arena};
    rnn_recurrence_run(layer, row, rows, &means);
    arena_close(&arena);
    free(inputs);
}

static double steps(enum packed_format format, enum activation_kind activation)
{
    static const struct cell_class *const classes[] = {&cell_simple_rnn, &cell_lstm, &cell_gru, &cell_gru};
    static float got[MAX_ROWS * STEPS * MAX_UNITS], want[MAX_ROWS * STEPS * MAX_UNITS];
    double worst = 0;
    for (size_t units = 1; units <= MAX_UNITS; units++)
        for (size_t c = 0; c < 4; c++) {
            struct rnn_recurrence neon, plain;
            size_t rows = 1 + (units * 7 + c * 3) % MAX_ROWS;
            build(&neon, classes[c], units, c < 3, activation, &vec_neon, format);
            build(&plain, classes[c], units, c < 3, activation, &vec_c, format);
            run(&neon, rows, got);
            run(&plain, rows, want);
            for (size_t i = 0; i < rows * STEPS * units; i++)
                worst = fmax(worst, fabs((double)got[i] - (double)want[i]));
            rnn_stack_close(&neon.stack);
            rnn_stack_close(&plain.stack);
        }
    return worst;
}

static double ulps(enum activation_kind kind)
{
    const struct activation activation = {.kind = kind};
    double worst = 0;
    for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 9973) {
        uint32_t pattern = (uint32_t)bits;
        float x, y;
        int exponent;
        memcpy(&x, &pattern, sizeof x);
        y = x;
        vec_neon.activate(&activation, 1, &y);
        if (isnan(x))
            worst = isnan(y) ? worst : INFINITY;
        if (isnan(x))
            continue;
        double d = (double)x, want = kind == ACT_TANH ? tanh(d) : d >= 0 ? 1 / (1 + exp(-d)) : exp(d) / (1 + exp(d));
        frexp(want, &exponent);
        worst = fmax(worst, fabs((double)y - want) / ldexp(1, (exponent < -125 ? -125 : exponent) - 24));
    }
    return worst;
}

int main(void)
{
    check("neon_is_the_best_table", vec_select(NULL) == &vec_neon && vec_select("neon") == &vec_neon);
    double plain = steps(PACKED_FLOAT32, ACT_TANH), other = steps(PACKED_FLOAT32, ACT_SOFTSIGN);
    double bf16 = steps(PACKED_BF16, ACT_TANH), int8 = steps(PACKED_INT8, ACT_TANH);
    printf("largest difference from plain C: %.3g, softsign %.3g, bf16 %.3g, int8 %.3g\n", plain, other, bf16, int8);
    check("steps_agree_with_plain_c", plain <= 2e-6 && other <= 2e-6);
    check("smaller_weights_agree_with_plain_c", bf16 <= 2e-6 && int8 <= 2e-6);
    double tangent = ulps(ACT_TANH), logistic = ulps(ACT_SIGMOID);
    printf("tanh %.3f ulp, sigmoid %.3f ulp\n", tangent, logistic);
    check("sigmoid_and_tanh_are_within_one_ulp", tangent <= 1 && logistic <= 1);
    return failures != 0;
}
