#include "tests/unit/unit.h"

static void fill(const char *name, size_t rows, size_t columns, float *out)
{
    assert_int_equal(
        initializer_fill(&initializer_find(name)->initializer, 7, "cells.0.kernel", rows, columns, out, NULL), RNN_OK);
}

static uint64_t hash(const float *x, size_t n)
{
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n * sizeof *x; i++)
        h = (h ^ ((const unsigned char *)x)[i]) * 0x100000001b3u;
    return h;
}

/* Hashes of the bits of every initializer. They are the same on every machine and with every compiler. */
static void bits_are_the_recorded_ones(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        uint64_t hash;
    } rows[] = {
#include "tests/unit/initializer_hashes.h"
    };
    float out[30 * 40];
    bool same = true;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        fill(rows[i].name, 30, 40, out);
        if (hash(out, 1200) != rows[i].hash) {
            print_message("        {\"%s\", 0x%016llxu},\n", rows[i].name, (unsigned long long)hash(out, 1200));
            same = false;
        }
    }
    assert_true(same);
}

static void moments(const float *x, size_t n, double *mean, double *deviation, double *largest)
{
    double sum = 0, squares = 0;
    *largest = 0;
    for (size_t i = 0; i < n; i++) {
        sum += (double)x[i];
        squares += (double)x[i] * (double)x[i];
        *largest = fmax(*largest, fabs((double)x[i]));
    }
    *mean = sum / (double)n;
    *deviation = sqrt(squares / (double)n - *mean * *mean);
}

/* Bounds are five standard errors of 40000 draws. */
static void distributions_have_their_moments(void **state)
{
    (void)state;
    enum { R = 100, C = 400 };
    static const struct {
        const char *name;
        double deviation, largest;
    } rows[] = {
        {"glorot_uniform", 0.0632456, 0.109545}, /* sqrt(6 / 500) */
        {"glorot_normal", 0.0632456, 0.1438},    /* 2 x 0.0632 / 0.8796 */
        {"he_uniform", 0.141421, 0.244949},      {"he_normal", 0.141421, 0.32155},    {"lecun_uniform", 0.1, 0.173205},
        {"lecun_normal", 0.1, 0.22737},          {"random_uniform", 0.0288675, 0.05}, {"random_normal", 0.05, 0.3},
        {"truncated_normal", 0.0439813, 0.1},
    };
    float *x = malloc(R * C * sizeof *x);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        double mean, deviation, largest;
        fill(rows[i].name, R, C, x);
        moments(x, R * C, &mean, &deviation, &largest);
        assert_near(mean, 0, 5 * rows[i].deviation / 200);
        assert_near(deviation, rows[i].deviation, 5 * rows[i].deviation / 282);
        assert_true(largest <= rows[i].largest * 1.0001 && largest > rows[i].largest * 0.6);
    }
    free(x);
}

static void orthogonal_has_orthonormal_rows_or_columns(void **state)
{
    (void)state;
    static const size_t shapes[][2] = {{16, 64}, {64, 16}, {40, 40}, {1, 5}};
    float *x = malloc(64 * 64 * sizeof *x);
    for (size_t s = 0; s < 4; s++) {
        size_t rows = shapes[s][0], columns = shapes[s][1];
        bool wide = rows < columns;
        size_t count = wide ? rows : columns, length = wide ? columns : rows;
        fill("orthogonal", rows, columns, x);
        for (size_t a = 0; a < count; a++)
            for (size_t b = 0; b < count; b++) {
                double dot = 0;
                for (size_t k = 0; k < length; k++)
                    dot += (double)x[wide ? a * columns + k : k * columns + a] *
                           (double)x[wide ? b * columns + k : k * columns + b];
                assert_near(dot, a == b, 1e-6);
            }
    }
    free(x);
}

static void seeds_and_paths_make_streams(void **state)
{
    (void)state;
    struct initializer in = initializer_find("glorot_uniform")->initializer;
    float a[8], b[8], c[8], d[8];
    initializer_fill(&in, 7, "cells.0.kernel", 2, 4, a, NULL);
    initializer_fill(&in, 7, "cells.0.kernel", 2, 4, b, NULL);
    initializer_fill(&in, 8, "cells.0.kernel", 2, 4, c, NULL);
    initializer_fill(&in, 7, "cells.1.kernel", 2, 4, d, NULL);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
    assert_memory_not_equal(a, d, sizeof a);
    in.seeded = true;
    in.seed = 5;
    initializer_fill(&in, 7, "cells.0.kernel", 2, 4, a, NULL);
    initializer_fill(&in, 9, "cells.1.kernel", 2, 4, b, NULL);
    assert_memory_equal(a, b, sizeof a);
}

static void simple_ones_fill(void **state)
{
    (void)state;
    float x[6];
    struct initializer constant = initializer_find("constant")->initializer;
    constant.value = 2.5;
    initializer_fill(&constant, 0, "", 2, 3, x, NULL);
    assert_true(x[0] == 2.5f && x[5] == 2.5f);
    fill("identity", 2, 3, x);
    assert_true(x[0] == 1 && x[1] == 0 && x[4] == 1 && x[5] == 0);
    struct rnn_error error = {{0}};
    assert_int_equal(initializer_fill(&initializer_find("orthogonal")->initializer, 0, "cells.0.bias", 0, 6, x, &error),
                     RNN_EINVAL);
    assert_non_null(strstr(error.text, "cells.0.bias"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bits_are_the_recorded_ones),
        cmocka_unit_test(distributions_have_their_moments),
        cmocka_unit_test(orthogonal_has_orthonormal_rows_or_columns),
        cmocka_unit_test(seeds_and_paths_make_streams),
        cmocka_unit_test(simple_ones_fill),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
