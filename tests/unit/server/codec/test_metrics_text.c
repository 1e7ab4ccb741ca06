/* metrics_text.c: families of metrics in Prometheus's text format. */
#include "server/codec/metrics_text.h"
#include "tests/unit/unit.h"

static const double bounds[METRICS_BUCKETS] = {0.5, 1,   2,   4,    8,    16,   32,   64,
                                               128, 256, 512, 1024, 2048, 4096, 8192, 16384};
static struct memory memory = {.limit = 1 << 20};
static struct memory_share share = {.memory = &memory};

static const char *text_of(struct buffer *out)
{
    buffer_bytes(out, "", 1);
    return out->text;
}

static void a_value_has_help_and_type(void **state)
{
    (void)state;
    struct buffer out = {.limit = 1 << 16, .share = &share};
    metrics_text_value(&out, "workers", "gauge", "Compute threads.", 2);
    metrics_text_value(&out, "rows_total", "counter", "Rows.", 123456789);
    metrics_text_value(&out, "load_seconds", "gauge", "Time.", 0.125);
    assert_string_equal(text_of(&out), "# HELP cellserve_workers Compute threads.\n"
                                       "# TYPE cellserve_workers gauge\n"
                                       "cellserve_workers 2\n"
                                       "# HELP cellserve_rows_total Rows.\n"
                                       "# TYPE cellserve_rows_total counter\n"
                                       "cellserve_rows_total 123456789\n"
                                       "# HELP cellserve_load_seconds Time.\n"
                                       "# TYPE cellserve_load_seconds gauge\n"
                                       "cellserve_load_seconds 0.125\n");
    buffer_close(&out);
}

/* Buckets are cumulative; the last one equals the count. */
static void a_histogram_has_buckets_sum_and_count(void **state)
{
    (void)state;
    struct histogram histogram = {
        .bounds = bounds, .counts = {[0] = 1, [2] = 3, [METRICS_BUCKETS] = 2}, .sum = 40006.5};
    struct buffer out = {.limit = 1 << 16, .share = &share};
    metrics_text_histogram(&out, "rows", "", &histogram);
    assert_string_equal(text_of(&out), "cellserve_rows_bucket{le=\"0.5\"} 1\n"
                                       "cellserve_rows_bucket{le=\"1\"} 1\n"
                                       "cellserve_rows_bucket{le=\"2\"} 4\n"
                                       "cellserve_rows_bucket{le=\"4\"} 4\n"
                                       "cellserve_rows_bucket{le=\"8\"} 4\n"
                                       "cellserve_rows_bucket{le=\"16\"} 4\n"
                                       "cellserve_rows_bucket{le=\"32\"} 4\n"
                                       "cellserve_rows_bucket{le=\"64\"} 4\n"
                                       "cellserve_rows_bucket{le=\"128\"} 4\n"
                                       "cellserve_rows_bucket{le=\"256\"} 4\n"
                                       "cellserve_rows_bucket{le=\"512\"} 4\n"
                                       "cellserve_rows_bucket{le=\"1024\"} 4\n"
                                       "cellserve_rows_bucket{le=\"2048\"} 4\n"
                                       "cellserve_rows_bucket{le=\"4096\"} 4\n"
                                       "cellserve_rows_bucket{le=\"8192\"} 4\n"
                                       "cellserve_rows_bucket{le=\"16384\"} 4\n"
                                       "cellserve_rows_bucket{le=\"+Inf\"} 6\n"
                                       "cellserve_rows_sum 40006.5\n"
                                       "cellserve_rows_count 6\n");
    buffer_close(&out);
    out = (struct buffer){.limit = 1 << 16, .share = &share};
    metrics_text_histogram(&out, "rows", "route=\"/predict\"", &histogram);
    assert_non_null(strstr(text_of(&out), "cellserve_rows_bucket{route=\"/predict\",le=\"2\"} 4\n"));
    assert_non_null(strstr(out.text, "cellserve_rows_bucket{route=\"/predict\",le=\"+Inf\"} 6\n"));
    assert_non_null(strstr(out.text, "cellserve_rows_sum{route=\"/predict\"} 40006.5\n"
                                     "cellserve_rows_count{route=\"/predict\"} 6\n"));
    buffer_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_value_has_help_and_type),
                                       cmocka_unit_test(a_histogram_has_buckets_sum_and_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
