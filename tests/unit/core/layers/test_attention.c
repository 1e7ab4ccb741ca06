/* Attention with packed matrices against a plain computation in double, for every table of kernels. */
#include "core/layers/attention_scores.h"
#include "tests/unit/unit.h"

#include <math.h>

enum { MOST = 70, SPACE = 40000 };

/* The mask: the first `counted` of `keys` keys count. */
struct limit {
    size_t keys, counted;
};

static void halve_and_limit(const void *context, size_t t, float *scores)
{
    const struct limit *limit = context;
    (void)t;
    for (size_t s = 0; s < limit->keys; s++)
        scores[s] = s < limit->counted ? scores[s] * 0.5f : -1e9f;
}

static float number(size_t i)
{
    return (float)((i * 7919) % 1009) / 504.5f - 1;
}

/* The expected output of query t, in double. */
static void plain(const struct attention_job *job, const struct limit *limit, size_t t, double *out)
{
    double weights[MOST], sum = 0;
    for (size_t s = 0; s < limit->counted; s++) {
        double score = 0;
        for (size_t k = 0; k < job->key.width; k++)
            score += (double)job->query.at[t * job->query.stride + k] * (double)job->key.at[s * job->key.stride + k];
        sum += weights[s] = exp(score * 0.5);
    }
    for (size_t k = 0; k < job->value.width; k++) {
        out[k] = 0;
        for (size_t s = 0; s < limit->counted; s++)
            out[k] += weights[s] / sum * (double)job->value.at[s * job->value.stride + k];
    }
}

static void check(const struct vec_ops *vec, size_t queries, size_t keys, size_t depth, size_t width, size_t gap)
{
    static float numbers[3][MOST * MOST], out[MOST * MOST], alone[MOST], space[SPACE];
    struct limit limit = {keys, keys > 2 ? keys - 2 : keys};
    size_t floats;
    for (size_t i = 0; i < MOST * MOST; i++)
        for (size_t k = 0; k < 3; k++)
            numbers[k][i] = number(3 * i + k);
    struct attention_job job = {.vec = vec,
                                .query = {numbers[0], queries, depth, depth + gap},
                                .key = {numbers[1], keys, depth, depth + gap},
                                .value = {numbers[2], keys, width, width + gap},
                                .products = true,
                                .score = halve_and_limit,
                                .context = &limit,
                                .out = out,
                                .out_stride = width + gap};
    assert_true(attention_space(vec, keys, depth, width, &floats));
    assert_true(floats < SPACE);
    for (size_t i = 0; i < MOST * MOST; i++)
        out[i] = -77;
    space[floats] = 77;
    attention_job_run(&job, space);
    assert_near((double)space[floats], 77, 0);
    for (size_t t = 0; t < queries; t++) {
        double want[MOST];
        plain(&job, &limit, t, want);
        for (size_t k = 0; k < width + gap; k++)
            assert_near((double)out[t * (width + gap) + k], k < width ? want[k] : -77, k < width ? 2e-6 : 0);
    }
    /* the last query has the same bits if it runs alone */
    job.query.at += (queries - 1) * (depth + gap);
    job.query.n = 1;
    job.out = alone;
    attention_job_run(&job, space);
    assert_memory_equal(alone, out + (queries - 1) * (width + gap), width * sizeof *out);
}

static void weighted_sums_are_those_of_the_definition(void **state)
{
    (void)state;
    /* The last three: a vector of a kernel is as wide as two heads, whose numbers lie one after the other. */
    static const size_t sizes[][5] = {{1, 1, 1, 1, 0},     {5, 3, 7, 2, 0},    {33, 30, 16, 64, 0},
                                      {40, 33, 17, 16, 3}, {64, 65, 3, 33, 1}, {32, 16, 64, 48, 5},
                                      {9, 8, 3, 4, 4},     {35, 11, 8, 8, 8},  {5, 6, 2, 12, 4}};
    const struct vec_ops *vec;
    for (size_t i = 0; (vec = vec_available(i)); i++)
        for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++)
            check(vec, sizes[k][0], sizes[k][1], sizes[k][2], sizes[k][3], sizes[k][4]);
}

static void a_size_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    size_t floats;
    assert_false(attention_space(&vec_c, SIZE_MAX / 64, 100, 1, &floats));
    assert_false(attention_space(&vec_c, 1, SIZE_MAX / 4, 1, &floats));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(weighted_sums_are_those_of_the_definition),
        cmocka_unit_test(a_size_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
