/* The kernels of every instruction set of this CPU against plain C and double: units 1..70, several numbers of rows,
   extreme values. */
#include "tests/unit/unit.h"

/* Largest error of x W + start against double, in units of float32's epsilon times the sum of |x w| and |start|: a sum
   of n terms in any order stays below n / 2, with fused steps. */
static void products_are_within_their_error_bound(void **state)
{
    (void)state;
    const struct vec_ops *vec;
    for (size_t v = 0; (vec = vec_available(v)); v++) {
        double worst = 0;
        for (size_t units = 1; units <= 70; units++) {
            size_t gates = 1 + units % 4, depth = 1 + units * 13 % 97, columns = gates * units, rows = 1 + units % 17;
            float *matrix = malloc(depth * columns * sizeof *matrix), *x = malloc(rows * depth * sizeof *x);
            float *bias = malloc(columns * sizeof *bias);
            unsigned seed = (unsigned)units;
            for (size_t i = 0; i < depth * columns; i++)
                matrix[i] = unit_random(&seed);
            for (size_t i = 0; i < rows * depth; i++)
                x[i] = unit_random(&seed);
            for (size_t i = 0; i < columns; i++)
                bias[i] = unit_random(&seed);
            struct packed w;
            assert_int_equal(packed_init(&w, matrix, depth, columns, 0, gates, units, vec->lanes, PACKED_FLOAT32, NULL),
                             RNN_OK);
            float *start = packed_row(&w, bias), *z = rnn_alloc(rows * packed_columns(&w), sizeof *z);
            vec->product(&w, vec_all(&w), rows, x, depth, start, 0, z);
            for (int pass = 0; pass < 2; pass++) { /* the product, then accumulated once more */
                for (size_t r = 0; r < rows; r++)
                    for (size_t g = 0; g < gates; g++)
                        for (size_t u = 0; u < units; u++) {
                            double sum = (double)bias[g * units + u], size = fabs(sum);
                            for (size_t k = 0; k < depth; k++) {
                                double term = (double)x[r * depth + k] * (double)matrix[k * columns + g * units + u];
                                sum += (1 + pass) * term;
                                size += (1 + pass) * fabs(term);
                            }
                            double error = fabs((double)z[r * packed_columns(&w) + packed_column(&w, g, u)] - sum);
                            worst = fmax(worst, error / (size * 0x1p-24 * (double)((1 + pass) * depth + 1)));
                        }
                vec->product(&w, vec_all(&w), rows, x, depth, z, packed_columns(&w), z);
            }
            packed_close(&w);
            free(matrix);
            free(x);
            free(bias);
            free(start);
            free(z);
        }
        print_message("%-9s products: largest error %.3f of the bound\n", vec->name, worst);
        assert_true(worst <= 1);
    }
}

/* Sums over a deep matrix are computed in parts, so their error is less than half that of a serial sum. In every format
   a row has the same bits alone and among other rows. */
static void deep_products_are_summed_in_parts(void **state)
{
    (void)state;
    enum { DEPTH = 2 * VEC_PART + 1501, COLUMNS = 37, ROWS = 7 };
    static float matrix[DEPTH * COLUMNS], x[ROWS * DEPTH];
    const struct vec_ops *vec;
    unsigned seed = 5;
    for (size_t i = 0; i < DEPTH * COLUMNS; i++)
        matrix[i] = 0.5f + fabsf(unit_random(&seed));
    for (size_t i = 0; i < ROWS * DEPTH; i++)
        x[i] = 0.5f + fabsf(unit_random(&seed));
    for (size_t v = 0; (vec = vec_available(v)); v++)
        for (int format = PACKED_FLOAT32; format <= PACKED_INT8; format++) {
            struct packed w;
            if (packed_init(&w, matrix, DEPTH, COLUMNS, 0, 1, COLUMNS, vec->lanes, (enum packed_format)format, NULL))
                continue; /* matrices in the layout of Keras are always float32 */
            size_t columns = packed_columns(&w);
            float *start = packed_row(&w, NULL), *z = rnn_alloc(ROWS * columns, sizeof *z);
            float *alone = rnn_alloc(columns, sizeof *alone);
            double ours = 0, serial = 0;
            vec->product(&w, vec_all(&w), ROWS, x, DEPTH, start, 0, z);
            for (size_t r = 0; r < ROWS; r++) {
                vec->product(&w, vec_all(&w), 1, x + r * DEPTH, DEPTH, start, 0, alone);
                assert_memory_equal(alone, z + r * columns, columns * sizeof *z);
                for (size_t u = 0; u < COLUMNS && format == PACKED_FLOAT32; u++) {
                    double sum = 0;
                    float single = 0;
                    for (size_t k = 0; k < DEPTH; k++) {
                        sum += (double)x[r * DEPTH + k] * (double)matrix[k * COLUMNS + u];
                        single = fmaf(x[r * DEPTH + k], matrix[k * COLUMNS + u], single);
                    }
                    ours += pow((double)z[r * columns + packed_column(&w, 0, u)] - sum, 2);
                    serial += pow((double)single - sum, 2);
                }
            }
            assert_true(sqrt(ours) <= sqrt(serial) / 2);
            packed_close(&w);
            free(start);
            free(z);
            free(alone);
        }
}

/* Steps of SimpleRNN, LSTM and GRU with units 1..70: the fused kernels against plain C. The error of each is a few
   float32 roundings and that of a sum of `units` products. */
static void steps_agree_with_plain_c(void **state)
{
    (void)state;
    static const struct cell_class *const classes[] = {&cell_simple_rnn, &cell_lstm, &cell_gru};
    const struct vec_ops *vec;
    for (size_t v = 0; (vec = vec_available(v)); v++) {
        double worst = 0;
        for (size_t units = 1; units <= 70; units++)
            for (size_t c = 0; c < 4; c++) {
                struct rnn_recurrence plain = {.return_sequences = true}, fast = {.return_sequences = true};
                struct rnn_cell_spec *specs[2];
                for (int i = 0; i < 2; i++) {
                    specs[i] = unit_leaf(classes[c % 3], units);
                    specs[i]->reset_after = c < 3;
                    if (c == 3)
                        specs[i]->class = &cell_gru;
                }
                double scale = 1 / sqrt((double)units);
                unit_build(&plain.stack, specs[0], 3, &vec_c, scale);
                unit_build(&fast.stack, specs[1], 3, vec, scale);
                size_t rows = 1 + (units * 5 + c) % 16, n = plain.stack.state_elems;
                for (size_t r = 0; r < rows; r++) {
                    float x[4 * 3], a[4 * 70], b[4 * 70], sa[140] = {0}, sb[140] = {0};
                    unsigned seed = (unsigned)(units * 100 + r);
                    for (int i = 0; i < 12; i++)
                        x[i] = unit_random(&seed);
                    unit_run(&plain, x, NULL, 4, sa, a);
                    unit_run(&fast, x, NULL, 4, sb, b);
                    for (size_t i = 0; i < 4 * units; i++)
                        worst = fmax(worst, fabs((double)a[i] - (double)b[i]));
                    for (size_t i = 0; i < n; i++)
                        worst = fmax(worst, fabs((double)sa[i] - (double)sb[i]));
                    if (r == 1)
                        break;
                }
                rnn_stack_close(&plain.stack);
                rnn_stack_close(&fast.stack);
            }
        print_message("%-9s steps: largest difference from plain C %.3g\n", vec->name, worst);
        assert_true(worst <= 2e-6); /* 4 steps x (8 roundings of 2^-24 + sums of magnitude 2) */
    }
}

/* bf16 and int8: products of every table of kernels against sums in double of the original weights. The bound is half a
   unit of the format for each weight, and the rounding of the sum. */
static void smaller_weights_are_rounded_once(void **state)
{
    (void)state;
    enum { DEPTH = 37, UNITS = 45, GATES = 3, COLUMNS = UNITS * GATES, ROWS = 7 };
    static float matrix[DEPTH * COLUMNS], x[ROWS * DEPTH];
    const struct vec_ops *vec;
    unsigned seed = 3;
    for (size_t i = 0; i < DEPTH * COLUMNS; i++)
        matrix[i] = unit_random(&seed) * (i % COLUMNS == 5 ? 0 : 0.3f);
    for (size_t i = 0; i < ROWS * DEPTH; i++)
        x[i] = unit_random(&seed);
    for (size_t v = 0; (vec = vec_available(v)); v++)
        for (int format = PACKED_BF16; format <= PACKED_INT8; format++) {
            struct packed w;
            assert_int_equal(packed_init(&w, matrix, DEPTH, COLUMNS, 0, GATES, UNITS, vec->lanes, format, NULL),
                             RNN_OK);
            float *start = packed_row(&w, NULL), *z = rnn_alloc(ROWS * packed_columns(&w), sizeof *z);
            vec->product(&w, vec_all(&w), ROWS, x, DEPTH, start, 0, z);
            for (size_t r = 0; r < ROWS; r++)
                for (size_t c = 0; c < COLUMNS; c++) {
                    double sum = 0, bound = 0, largest = 0;
                    for (size_t k = 0; k < DEPTH; k++)
                        largest = fmax(largest, fabs((double)matrix[k * COLUMNS + c]));
                    for (size_t k = 0; k < DEPTH; k++) {
                        double weight = (double)matrix[k * COLUMNS + c], by = fabs((double)x[r * DEPTH + k]);
                        sum += (double)x[r * DEPTH + k] * weight;
                        bound += by * (format == PACKED_BF16 ? fabs(weight) * 0x1p-9 : largest / 127 * 0.5001);
                        bound += by * fabs(weight) * 0x1p-23 * DEPTH;
                    }
                    double got = (double)z[r * packed_columns(&w) + packed_column(&w, c / UNITS, c % UNITS)];
                    if (!(fabs(got - sum) <= bound))
                        fail_msg("%s %s: %g instead of %g", vec->name, packed_format_name(format), got, sum);
                }
            size_t scales = format == PACKED_INT8 ? packed_columns(&w) * sizeof(float) : 0;
            size_t column = format == PACKED_INT8 ? DEPTH : 2 * (DEPTH + 1); /* bf16 in pairs */
            assert_int_equal(packed_bytes(&w), packed_columns(&w) * column + scales);
            packed_close(&w);
            free(start);
            free(z);
        }
}

static double ulps(float got, double want)
{
    int exponent;
    frexp(want, &exponent);
    double ulp = ldexp(1, (exponent < -125 ? -125 : exponent) - 24);
    return fabs((double)got - want) / ulp;
}

static double true_sigmoid(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

/* Every 4999th float32, all of them with CELLSERVE_TEST_ULP=1. */
static void sweep(const struct vec_ops *vec, enum activation_kind kind, double (*truth)(double), double *worst)
{
    enum { BLOCK = 1 << 12 };
    static float x[BLOCK], y[BLOCK];
    const struct activation activation = {.kind = kind};
    const char *stride = getenv("CELLSERVE_TEST_ULP");
    uint64_t step = stride ? strtoul(stride, NULL, 10) : 4999, bits = 0;
    *worst = 0;
    while (bits < UINT64_C(1) << 32) {
        size_t n = 0;
        for (; n < BLOCK && bits < UINT64_C(1) << 32; n++, bits += step) {
            uint32_t pattern = (uint32_t)bits;
            memcpy(&x[n], &pattern, sizeof pattern);
        }
        memcpy(y, x, n * sizeof *y);
        vec->activate(&activation, n, y);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(isnan(x[i]) != 0, isnan(y[i]) != 0);
            double error = isnan(x[i]) ? 0 : ulps(y[i], truth((double)x[i]));
            if (error > *worst)
                *worst = error;
        }
    }
}

static void sigmoid_and_tanh_are_within_one_ulp(void **state)
{
    (void)state;
    const struct vec_ops *vec;
    for (size_t v = 0; (vec = vec_available(v)); v++) {
        double worst_tanh, worst_sigmoid;
        if (!vec->activate)
            continue;
        sweep(vec, ACT_TANH, tanh, &worst_tanh);
        sweep(vec, ACT_SIGMOID, true_sigmoid, &worst_sigmoid);
        print_message("%-9s tanh %.3f ulp, sigmoid %.3f ulp\n", vec->name, worst_tanh, worst_sigmoid);
        assert_true(worst_tanh <= 1 && worst_sigmoid <= 1);
    }
}

/* The other activations against activation_apply. Where terms cancel (elu near 0, gelu far below 0) the unit of the
   error is not the ulp of the result but 2^-23 min(|x|, 1). */
static void other_activations_agree_with_their_definitions(void **state)
{
    (void)state;
    const struct vec_ops *vec;
    for (size_t v = 0; (vec = vec_available(v)); v++) {
        if (!vec->activate)
            continue;
        for (const struct activation_name *name = activation_names; name->name; name++) {
            if (!vec_activates(&name->activation))
                continue;
            double worst = 0;
            for (uint64_t bits = 0; bits < UINT64_C(1) << 32; bits += 9973) {
                uint32_t pattern = (uint32_t)bits;
                float x, want, got;
                memcpy(&x, &pattern, sizeof x);
                want = got = x;
                activation_apply(&name->activation, 1, &want);
                vec->activate(&name->activation, 1, &got);
                if (isnan(want) != isnan(got) || isinf(want) != isinf(got))
                    fail_msg("%s %s(%a): %a instead of %a", vec->name, name->name, (double)x, (double)got,
                             (double)want);
                if (isfinite(want)) {
                    double ulp = ulps(got, (double)want), of_x = fabs((double)x) * 0x1p-23;
                    double error = fabs((double)got - (double)want);
                    worst = fmax(worst, fmin(ulp, error / fmin(of_x > 0 ? of_x : 1, 0x1p-23)));
                }
            }
            print_message("%-9s %-16s %.2f ulp\n", vec->name, name->name, worst);
            assert_true(worst <= (name->activation.kind == ACT_GELU ? 1.2 : 4));
        }
    }
}

static void vector_functions_handle_extremes(void **state)
{
    (void)state;
    const struct vec_ops *vec;
    const struct activation tangent = {.kind = ACT_TANH}, logistic = {.kind = ACT_SIGMOID};
    for (size_t v = 0; (vec = vec_available(v)); v++) {
        float t[] = {0.0f, -0.0f, INFINITY, -INFINITY, 1e-40f, -1e30f, NAN, 20, 0.1f}, s[9];
        if (!vec->activate)
            continue;
        memcpy(s, t, sizeof t);
        vec->activate(&tangent, 9, t);
        vec->activate(&logistic, 9, s);
        assert_true(t[0] == 0 && !signbit(t[0]) && t[1] == 0 && signbit(t[1]));
        assert_true(t[2] == 1 && t[3] == -1 && t[5] == -1 && isnan(t[6]) && t[7] == 1);
        assert_true(t[4] == 1e-40f);
        assert_true(s[0] == 0.5f && s[1] == 0.5f && s[2] == 1 && s[3] == 0 && s[5] == 0 && isnan(s[6]));
    }
}

static void selection_knows_the_cpu(void **state)
{
    (void)state;
    assert_ptr_equal(vec_select(NULL), vec_available(0));
    assert_ptr_equal(vec_select(""), vec_available(0));
    assert_ptr_equal(vec_select("c"), &vec_c);
    assert_non_null(vec_select("openblas"));
    assert_null(vec_select("mmx"));
}

static void denormals_are_off_only_in_between(void **state)
{
    (void)state;
    volatile float tiny = 1e-40f, half = 0.5f;
    unsigned long long saved = vec_denormals_off();
    volatile float inside = tiny * half;
    vec_denormals_restore(saved);
    volatile float outside = tiny * half;
    assert_true(outside != 0);
#if defined(__x86_64__)
    assert_true(inside == 0);
#else
    (void)inside;
#endif
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_within_their_error_bound),
        cmocka_unit_test(deep_products_are_summed_in_parts),
        cmocka_unit_test(steps_agree_with_plain_c),
        cmocka_unit_test(smaller_weights_are_rounded_once),
        cmocka_unit_test(sigmoid_and_tanh_are_within_one_ulp),
        cmocka_unit_test(other_activations_agree_with_their_definitions),
        cmocka_unit_test(vector_functions_handle_extremes),
        cmocka_unit_test(selection_knows_the_cpu),
        cmocka_unit_test(denormals_are_off_only_in_between),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
