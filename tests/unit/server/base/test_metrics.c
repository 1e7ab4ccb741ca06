/* metrics.c: counters of requests and of runs. */
#include "server/base/metrics.h"
#include "tests/unit/unit.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

static struct metrics metrics;
static struct metrics_counts counts;

/* Read the counters into `counts`. */
static void look(void)
{
    free(counts.requests);
    assert_true(metrics_sum(&metrics, &counts));
}

enum { MS = 1000000 };

/* A prediction of 3 rows with 4 timesteps, answered with this status. */
static struct request_sample prediction(const char *model, int status)
{
    return (struct request_sample){.route = 5,
                                   .model = model,
                                   .status = status,
                                   .prediction = true,
                                   .rows = 3,
                                   .timesteps = 12,
                                   .durations = {10 * MS, 1 * MS, 2 * MS, 3 * MS, 4 * MS}};
}

static uint64_t observations(const struct histogram *histogram)
{
    uint64_t n = 0;
    for (size_t i = 0; i <= METRICS_BUCKETS; i++)
        n += histogram->counts[i];
    return n;
}

static void requests_are_counted_by_route_model_and_status(void **state)
{
    (void)state;
    const struct request_sample samples[] = {
        {.route = 1, .model = "", .status = 200},  {.route = 1, .model = "", .status = 200},
        {.route = 2, .model = "", .status = 200},  {.route = 1, .model = "", .status = 503},
        {.route = 1, .model = "a", .status = 200}, {.route = 1, .model = "", .status = 200}};
    for (size_t i = 0; i < sizeof samples / sizeof *samples; i++)
        metrics_add(&metrics, &samples[i]);
    static const struct request_count want[] = {
        {1, "", 200, 3, {0}}, {2, "", 200, 1, {0}}, {1, "", 503, 1, {0}}, {1, "a", 200, 1, {0}}};
    look();
    assert_int_equal(counts.n_requests, 4);
    for (size_t i = 0; i < 4; i++) {
        const struct request_count *got = &counts.requests[i];
        assert_int_equal(got->route, want[i].route);
        assert_string_equal(got->model, want[i].model);
        assert_int_equal(got->status, want[i].status);
        assert_int_equal(got->count, want[i].count);
    }
    assert_int_equal(observations(&counts.durations[1]), 5);
    assert_int_equal(observations(&counts.durations[2]), 1);
    assert_int_equal(observations(&counts.queue_wait), 0); /* no request was a prediction */
    assert_int_equal(counts.rows, 0);
}

/* 50 us is the first bound, 10 s the last. A value at a bound is not above the bound. */
static void durations_fall_into_their_buckets(void **state)
{
    (void)state;
    static const struct {
        int64_t ns;
        size_t bucket;
    } rows[] = {
        {0, 0}, {50000, 0}, {50001, 1}, {700000, 4}, {1 * MS, 4}, {10000 * (int64_t)MS, 15}, {10001 * (int64_t)MS, 16}};
    double sum = 0;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        look();
        uint64_t before = counts.durations[0].counts[rows[i].bucket];
        metrics_add(&metrics, &(struct request_sample){.model = "", .status = 200, .durations.total_ns = rows[i].ns});
        look();
        assert_int_equal(counts.durations[0].counts[rows[i].bucket], before + 1);
        sum += (double)rows[i].ns * 1e-9;
    }
    assert_near(counts.durations[0].sum, sum, 1e-9);
    for (size_t i = 1; i < METRICS_BUCKETS; i++)
        assert_true(counts.durations[0].bounds[i - 1] < counts.durations[0].bounds[i]);
}

static void predictions_add_to_their_model(void **state)
{
    (void)state;
    struct request_sample good = prediction("m", 200), bad = prediction("m", 500), nameless = prediction("", 404);
    int64_t began_ms = (int64_t)time(NULL) * 1000;
    metrics_add(&metrics, &good);
    metrics_add(&metrics, &good);
    metrics_add(&metrics, &bad);
    metrics_add(&metrics, &nameless);
    const struct model_statistics s = metrics_model(&metrics, "m");
    assert_string_equal(s.model, "m");
    assert_int_equal(s.success, 2);
    assert_int_equal(s.fail, 1);
    assert_int_equal(s.rows, 6); /* of successful requests only */
    assert_int_equal(s.success_ns, 20 * MS);
    assert_int_equal(s.fail_ns, 10 * MS);
    assert_int_equal(s.queue_ns, 2 * MS);
    assert_int_equal(s.decode_ns, 4 * MS);
    assert_int_equal(s.compute_ns, 6 * MS);
    assert_int_equal(s.encode_ns, 8 * MS);
    assert_true(s.last_ms >= began_ms && s.last_ms < began_ms + 60000);
    look();
    assert_int_equal(counts.rows, 12);
    assert_int_equal(counts.timesteps, 48);
    assert_int_equal(metrics_model(&metrics, "other").success, 0);
}

/* A request that failed early has no durations of the later parts. Its wait in the queue counts. */
static void durations_of_missing_parts_are_not_counted(void **state)
{
    (void)state;
    struct request_sample sample = prediction("m", 504);
    sample.durations = (struct request_durations){.total_ns = 7 * MS, .queue_ns = 0, .decode_ns = 6 * MS};
    metrics_add(&metrics, &sample);
    look();
    assert_int_equal(observations(&counts.queue_wait), 1);
    assert_int_equal(counts.queue_wait.counts[0], 1);
    assert_int_equal(observations(&counts.decode), 1);
    assert_near(counts.decode.sum, 0.006, 1e-12);
    assert_int_equal(observations(&counts.compute), 0);
    assert_int_equal(observations(&counts.encode), 0);
}

/* 1 and 32768 rows are the first and the last bound. */
static void runs_are_counted_with_their_rows(void **state)
{
    (void)state;
    static const size_t rows[] = {1, 2, 3, 32768, 32769};
    static const size_t buckets[] = {0, 1, 2, 15, 16};
    for (size_t i = 0; i < 5; i++)
        metrics_batch(&metrics, "m", rows[i]);
    look();
    for (size_t i = 0; i < 5; i++)
        assert_int_equal(counts.batch_rows.counts[buckets[i]], 1);
    assert_near(counts.batch_rows.sum, 65543, 0);
    assert_int_equal(metrics_model(&metrics, "m").runs, 5);
    assert_int_equal(metrics_model(&metrics, "m").success, 0);
}

enum { THREADS = 70, EACH = 5 }; /* more threads than there are parts */

static void *count_some(void *argument)
{
    const struct request_sample sample = prediction(argument, 200);
    for (int i = 0; i < EACH; i++)
        metrics_add(&metrics, &sample);
    metrics_batch(&metrics, argument, 2);
    return NULL;
}

static void threads_are_added_up(void **state)
{
    (void)state;
    static char names[2][2] = {"a", "b"};
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_some, names[i % 2]), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    look();
    assert_int_equal(counts.n_requests, 2);
    assert_int_equal(counts.requests[0].count, THREADS / 2 * EACH);
    assert_int_equal(counts.requests[1].count, THREADS / 2 * EACH);
    assert_int_equal(counts.rows, THREADS * EACH * 3);
    assert_int_equal(observations(&counts.decode), THREADS * EACH);
    assert_int_equal(counts.batch_rows.counts[1], THREADS);
    assert_int_equal(metrics_model(&metrics, "a").success, THREADS / 2 * EACH);
    assert_int_equal(metrics_model(&metrics, "b").runs, THREADS / 2);
    assert_true(counts.decode.bounds && counts.decode.bounds != counts.batch_rows.bounds);
    for (int i = 1; i < METRICS_PARTS; i++)
        assert_true(metrics.parts[i] != &metrics.first);
}

static int start(void **state)
{
    (void)state;
    metrics_init(&metrics);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    metrics_close(&metrics);
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(requests_are_counted_by_route_model_and_status),
        TEST(durations_fall_into_their_buckets),
        TEST(predictions_add_to_their_model),
        TEST(durations_of_missing_parts_are_not_counted),
        TEST(runs_are_counted_with_their_rows),
        TEST(threads_are_added_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
