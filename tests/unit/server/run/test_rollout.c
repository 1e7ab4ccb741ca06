/* rollout.c */
#include "server/run/rollout.h"
#include "server/run/schedule.h"
#include "tests/unit/run_server.h"

#include <xxhash.h>

/* After token i, token i + 1 is the most probable, then i + 2. */
static const float scores[4][4] = {{0, 3, 2, 1}, {1, 0, 3, 2}, {2, 1, 0, 3}, {3, 2, 1, 0}};

static void answer(struct run_request *r, struct run_server *s, const char *body)
{
    run_request_open(r, s, body);
    schedule_alone(&r->request, &s->worker);
    assert_int_equal(r->done, 1);
}

static void outputs_become_inputs(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    run_server_open(&s);
    run_server_sums(&s, "m", 1, false);
    answer(&r, &s, "{\"instances\": [[[1],[2]], [[5]]], \"rollout\": {\"steps\": 4}}");
    assert_int_equal(r.request.answer.status, 200);
    assert_int_equal(r.n_outputs, 8);
    /* from the second step on, the sum is added to itself */
    const float want[8] = {3, 6, 12, 24, 5, 10, 20, 40};
    assert_memory_equal(r.outputs, want, sizeof want);
    run_request_close(&r);
    run_server_close(&s);
}

static void without_temperature_the_most_probable_token_comes(void **state)
{
    (void)state;
    static const char *const options[] = {"\"temperature\": 0", "\"top_k\": 1, \"seed\": 5", "\"temperature\": 1e-3"};
    struct run_server s;
    run_server_open(&s);
    run_server_tokens(&s, "m", scores);
    for (size_t i = 0; i < 3; i++) {
        struct run_request r;
        char body[160];
        snprintf(body, sizeof body, "{\"instances\": [[0, 2], [3]], \"rollout\": {\"steps\": 5, %s}}", options[i]);
        answer(&r, &s, body);
        assert_int_equal(r.request.answer.status, 200);
        const float want[10] = {3, 0, 1, 2, 3, 0, 1, 2, 3, 0};
        assert_int_equal(r.n_outputs, 10);
        assert_memory_equal(r.outputs, want, sizeof want);
        run_request_close(&r);
    }
    run_server_close(&s);
}

/* A second implementation of the draw: the token of step i of row b, from the k most probable tokens. */
static size_t expected_token(size_t token, uint64_t seed, uint64_t b, uint64_t i, int k)
{
    const uint64_t place[3] = {seed, b, i};
    double u = (double)(XXH3_64bits(place, sizeof place) >> 11) * 0x1p-53, weights[4], sum = 0;
    for (size_t n = 0; n < 4; n++) {
        bool taken = (double)scores[token][n] > 3.5 - k;
        sum += weights[n] = taken ? exp((double)scores[token][n]) : 0;
    }
    double until = u * sum, passed = 0;
    for (size_t n = 0; n < 4; n++)
        if ((passed += weights[n]) > until)
            return n;
    return 4;
}

static void a_seed_draws_the_same_tokens_from_the_top_k(void **state)
{
    (void)state;
    enum { STEPS = 30 };
    struct run_server s;
    float first[2 * STEPS];
    size_t differ = 0, seen[4] = {0};
    run_server_open(&s);
    run_server_tokens(&s, "m", scores);
    for (int seed = 7; seed < 9; seed++)
        for (int k = 2; k <= 4; k++) {
            struct run_request r;
            char body[160];
            size_t token[2] = {1, 1};
            snprintf(body, sizeof body,
                     "{\"instances\": [[1], [1]], \"rollout\": {\"steps\": %d, \"top_k\": %d, \"seed\": %d}}", STEPS, k,
                     seed);
            answer(&r, &s, body);
            assert_int_equal(r.n_outputs, 2 * STEPS);
            /* the first output is drawn after the input, the next one after the first output */
            for (size_t b = 0; b < 2; b++)
                for (size_t i = 0; i < STEPS; i++) {
                    size_t want = expected_token(token[b], (uint64_t)seed, b, i, k);
                    assert_int_equal(r.outputs[b * STEPS + i], want);
                    seen[(want + 4 - token[b]) % 4] += k == 2;
                    token[b] = want;
                }
            if (seed == 7 && k == 4)
                memcpy(first, r.outputs, sizeof first);
            if (seed == 8 && k == 4)
                differ = (size_t)memcmp(first, r.outputs, sizeof first);
            run_request_close(&r);
        }
    assert_true(differ); /* another seed, other tokens */
    assert_true(seen[1] > seen[2] && seen[2] > 0 && !seen[3] && !seen[0]);
    run_server_close(&s);
}

static void draws_of_a_row_do_not_depend_on_other_rows(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request alone, beside;
    run_server_open(&s);
    run_server_tokens(&s, "m", scores);
    answer(&alone, &s, "{\"instances\": [[1]], \"rollout\": {\"steps\": 20, \"seed\": 3}}");
    answer(&beside, &s, "{\"instances\": [[1], [2, 0]], \"rollout\": {\"steps\": 20, \"seed\": 3}}");
    assert_memory_equal(alone.outputs, beside.outputs, 20 * sizeof(float));
    assert_memory_not_equal(alone.outputs, beside.outputs + 20, 20 * sizeof(float));
    run_request_close(&alone);
    run_request_close(&beside);
    run_server_close(&s);
}

static void invalid_rollouts_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *model, *instances, *rollout;
        int status;
        const char *code;
    } cases[] = {
        {"sums", "[[[1]]]", "{\"steps\": 0}", 400, "empty_input"},
        {"sums", "[[[1]]]", "{\"steps\": 17}", 413, "too_many_timesteps"},
        {"sums", "[[[1]]]", "{\"seed\": 1}", 400, "missing_key"},
        {"sums", "[[[1]]]", "{\"steps\": 1, \"temperature\": 1}", 400, "wrong_value"},
        {"tokens", "[[1]]", "{\"steps\": 1, \"temperature\": 1001}", 400, "wrong_value"},
        {"tokens", "[[1]]", "{\"steps\": 1, \"top_k\": 0}", 400, "wrong_value"},
    };
    struct run_server s;
    struct run_request r;
    run_server_open(&s);
    s.settings.max_timesteps = 16;
    run_server_sums(&s, "sums", 1, false);
    run_server_tokens(&s, "tokens", scores);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char body[200];
        snprintf(body, sizeof body, "{\"model\": \"%s\", \"instances\": %s, \"rollout\": %s}", cases[i].model,
                 cases[i].instances, cases[i].rollout);
        answer(&r, &s, body);
        assert_int_equal(r.request.answer.status, cases[i].status);
        assert_string_equal(run_error(&r), cases[i].code);
        run_request_close(&r);
    }
    answer(&r, &s,
           "{\"model\": \"sums\", \"instances\": [[[1]]], \"return_sequences\": true, \"rollout\": {\"steps\": 1}}");
    assert_string_equal(run_error(&r), "wrong_value");
    run_request_close(&r);
    run_server_close(&s);
}

static void models_must_take_what_they_give(void **state)
{
    (void)state;
    struct run_server s;
    struct run_request r;
    run_server_open(&s);
    run_server_sums(&s, "wide", 2, false);
    run_server_sums(&s, "backwards", 1, true);
    answer(&r, &s, "{\"model\": \"wide\", \"instances\": [[[1]]], \"rollout\": {\"steps\": 1}}");
    assert_string_equal(run_error(&r), "wrong_shape");
    assert_non_null(strstr(r.request.answer.error, "The output (2 numbers) cannot be the next input (1 features)."));
    run_request_close(&r);
    answer(&r, &s, "{\"model\": \"backwards\", \"instances\": [[[1]]], \"rollout\": {\"steps\": 1}}");
    assert_string_equal(run_error(&r), "not_streamable");
    run_request_close(&r);
    run_server_close(&s);
}

static void a_rollout_ends_at_nan(void **state)
{
    (void)state;
    static const float none[4][4] = {{NAN, 0, 0, 0}};
    struct run_server s;
    struct run_request r;
    run_server_open(&s);
    run_server_tokens(&s, "m", none);
    answer(&r, &s, "{\"instances\": [[1], [0]], \"rollout\": {\"steps\": 1, \"seed\": 1}}");
    assert_int_equal(r.request.answer.status, 500);
    assert_string_equal(run_error(&r), "nonfinite_output");
    run_request_close(&r);
    run_server_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_become_inputs),
        cmocka_unit_test(without_temperature_the_most_probable_token_comes),
        cmocka_unit_test(a_seed_draws_the_same_tokens_from_the_top_k),
        cmocka_unit_test(draws_of_a_row_do_not_depend_on_other_rows),
        cmocka_unit_test(invalid_rollouts_are_refused),
        cmocka_unit_test(models_must_take_what_they_give),
        cmocka_unit_test(a_rollout_ends_at_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
