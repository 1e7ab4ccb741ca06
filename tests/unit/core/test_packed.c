#include "tests/unit/unit.h"

/* Every weight is at its position in the packed matrix, and the padding is zero. */
static void check(size_t depth, size_t units, size_t gates, size_t lanes)
{
    struct packed p;
    size_t columns = gates * units;
    float *matrix = malloc(depth * columns * sizeof *matrix);
    for (size_t i = 0; i < depth * columns; i++)
        matrix[i] = (float)(i + 1);
    assert_int_equal(packed_init(&p, matrix, depth, columns, 0, gates, units, lanes, PACKED_FLOAT32, NULL), RNN_OK);
    double sum = 0;
    size_t floats = depth * packed_columns(&p);
    for (size_t i = 0; i < floats; i++)
        sum += (double)packed_weight(&p, i);
    double n = (double)(depth * columns);
    assert_near(sum, n * (n + 1) / 2, 0);
    /* the product of the unit vector e_k and W is row k of the matrix */
    if (lanes == 8) {
        float *x = calloc(depth, sizeof *x), *z = malloc(packed_columns(&p) * sizeof *z), *zeros = packed_row(&p, NULL);
        for (size_t k = 0; k < depth; k++) {
            x[k] = 1;
            vec_c.product(&p, vec_all(&p), 1, x, depth, zeros, 0, z);
            for (size_t g = 0; g < gates; g++)
                for (size_t u = 0; u < units; u++)
                    assert_near((double)z[packed_column(&p, g, u)], (double)matrix[k * columns + g * units + u], 0);
            x[k] = 0;
        }
        free(x);
        free(z);
        free(zeros);
    }
    packed_close(&p);
    free(matrix);
}

static void weights_are_found_again(void **state)
{
    (void)state;
    static const size_t units[] = {1, 7, 8, 9, 16, 33, 40};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        for (size_t gates = 1; gates <= 4; gates++) {
            check(5, units[i], gates, 8);
            check(3, units[i], gates, 16);
            check(3, units[i], gates, 0);
        }
}

static void lanes_zero_is_keras_own_layout(void **state)
{
    (void)state;
    static const float matrix[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    struct packed p;
    assert_int_equal(packed_init(&p, matrix, 2, 6, 0, 2, 3, 0, PACKED_FLOAT32, NULL), RNN_OK);
    assert_memory_equal(p.data, matrix, sizeof matrix);
    packed_close(&p);
    assert_null(p.data);
}

/* Rows, or columns, in borrowed memory are packed as packed_init packs the same matrix. */
static void borrowed_matrices_are_packed_alike(void **state)
{
    (void)state;
    enum { DEPTH = 5, MOST = 150, STRIDE = MOST + 3 };
    static const size_t units[] = {1, 7, 16, 65, MOST}, lanes[] = {0, 8, 16};
    float rows[DEPTH * STRIDE], columns[MOST * (DEPTH + 2)], data[DEPTH * (MOST + 16)];
    for (size_t i = 0; i < 15; i++) {
        size_t n = units[i / 3];
        struct packed want, got;
        for (size_t k = 0; k < DEPTH; k++)
            for (size_t u = 0; u < n; u++)
                rows[k * STRIDE + u] = columns[u * (DEPTH + 2) + k] = (float)(k * MOST + u + 1);
        assert_int_equal(packed_init(&want, rows, DEPTH, STRIDE, 0, 1, n, lanes[i % 3], PACKED_FLOAT32, NULL), RNN_OK);
        size_t bytes = packed_bytes(&want);
        assert_int_equal(bytes, DEPTH * packed_width(n, lanes[i % 3]) * sizeof *data);
        packed_borrow(&got, DEPTH, n, lanes[i % 3], data);
        for (int transposed = 0; transposed < 2; transposed++) {
            memset(data, 0xff, sizeof data);
            if (transposed)
                packed_fill_columns(&got, columns, DEPTH + 2);
            else
                packed_fill(&got, rows, STRIDE);
            assert_memory_equal(data, want.data, bytes);
            assert_int_equal(packed_columns(&got), packed_columns(&want));
            assert_int_equal(packed_panels(&got), packed_panels(&want));
        }
        packed_close(&want);
    }
}

static void what_does_not_fit_is_refused(void **state)
{
    (void)state;
    struct packed p = {0};
    struct rnn_error error = {{0}};
    float one = 1;
    assert_int_equal(packed_init(&p, &one, SIZE_MAX / 8, 1, 0, 4, 1024, 8, PACKED_FLOAT32, &error), RNN_ENOMEM);
    assert_true(error.text[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weights_are_found_again),
        cmocka_unit_test(lanes_zero_is_keras_own_layout),
        cmocka_unit_test(borrowed_matrices_are_packed_alike),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
