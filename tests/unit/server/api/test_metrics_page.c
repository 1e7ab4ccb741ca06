/* metrics_page.c: the page without a socket. */
#include "server/api/metrics_page.h"
#include "server/api/routes.h"
#include "server/base/version.h"
#include "server/run/server.h"
#include "tests/unit/unit.h"

static struct settings settings;
static struct model models[1];
static struct model_entry entry = {.name = (char *)"m"};
static struct slot slot;
static struct server server;
static struct memory_share share = {.memory = &server.memory};

static const char *page(struct buffer *out)
{
    *out = (struct buffer){.limit = 1 << 20, .share = &share};
    metrics_page_write(&server.services, out);
    buffer_bytes(out, "", 1);
    return out->text;
}

static void assert_has(const char *text, const char *line)
{
    if (!strstr(text, line))
        fail_msg("no %s in %s", line, text);
}

static void requests_are_counted_and_shown(void **state)
{
    (void)state;
    struct buffer out;
    struct request request;
    assert_true(request_init(&request, &server.services, "/v1/models/m:step"));
    strcpy(request.head.method, "POST");
    assert_true(route_request(&request));
    request.answer.status = 200;
    request.rows = 3;
    request.timesteps = 12;
    request.timing.compute = 700000;
    metrics_count_request(&server.metrics, &request);
    metrics_count_request(&server.metrics, &request);
    request.answer.status = 500;
    metrics_count_request(&server.metrics, &request);
    metrics_batch(&server.metrics, "m", 3);
    const struct model_statistics s = metrics_model(&server.metrics, "m");
    assert_true(s.success == 2 && s.fail == 1 && s.rows == 6 && s.runs == 1 && s.compute_ns == 1400000);
    assert_true(!metrics_model(&server.metrics, "other").success);
    request_close(&request);
    server.lifecycle.state = SERVER_LOADING; /* the page then has no figures of pool and models */
    page(&out);
    server.lifecycle.state = SERVER_READY;
    static const char *const lines[] = {
        "\ncellserve_requests_total{route=\"/v1/models/{m}:step\",model=\"m\",status=\"200\"} 2\n",
        "\ncellserve_requests_total{route=\"/v1/models/{m}:step\",model=\"m\",status=\"500\"} 1\n",
        "\ncellserve_request_duration_seconds_count{route=\"/v1/models/{m}:step\",model=\"m\",status=\"2xx\"} 2\n",
        "\ncellserve_queue_duration_seconds_count 3\n",
        "\ncellserve_rows_total 9\n",
        "\ncellserve_timesteps_total 36\n",
        "\ncellserve_compute_duration_seconds_bucket{le=\"0.0005\"} 0\n",
        "\ncellserve_compute_duration_seconds_bucket{le=\"0.001\"} 3\n",
        "\ncellserve_compute_duration_seconds_bucket{le=\"+Inf\"} 3\n",
        "\ncellserve_compute_duration_seconds_sum 0.0021\n",
        "\ncellserve_decode_duration_seconds_count 0\n",
        "\ncellserve_batch_rows_bucket{le=\"2\"} 0\n",
        "\ncellserve_batch_rows_bucket{le=\"4\"} 1\n"};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_has(out.text, lines[i]);
    assert_null(strstr(out.text, "cellserve_model_"));
    buffer_close(&out);
}

/* A request without a route counts under the route "other" and without a model. */
static void refused_requests_are_counted(void **state)
{
    (void)state;
    struct buffer out;
    struct request request;
    assert_true(request_init(&request, &server.services, "/nothing"));
    request.route = route_none();
    strcpy(request.head.method, "GET");
    assert_false(route_request(&request));
    metrics_count_request(&server.metrics, &request);
    request_close(&request);
    assert_has(page(&out), "\ncellserve_requests_total{route=\"other\",model=\"\",status=\"404\"} 1\n");
    buffer_close(&out);
}

static void models_and_loads_are_shown(void **state)
{
    (void)state;
    struct buffer out;
    struct worker worker = {.held = 2};
    server.pool.queued = 4;
    server.pool.workers = &worker;
    server.streams.n = 5;
    static struct io_counters io[] = {{.connections = 3, .requests = 11}, {.connections = 4, .requests = 12}};
    server.counters.io = io;
    server.counters.n_io = 2;
    slot.reloads = 3;
    page(&out);
    server.pool.workers = NULL;
    static const char *const lines[] = {"\ncellserve_queue_depth 4\n",
                                        "\ncellserve_running_requests 2\n",
                                        "\ncellserve_streams 5\n",
                                        "\ncellserve_connections 7\n",
                                        "\ncellserve_io_connections{thread=\"0\"} 3\n",
                                        "\ncellserve_io_connections{thread=\"1\"} 4\n",
                                        "\ncellserve_io_requests_total{thread=\"1\"} 12\n",
                                        "\ncellserve_workers 6\n",
                                        "\ncellserve_inflight_limit_bytes 16777216\n",
                                        "\ncellserve_build_info{version=\"" CELLSERVE_VERSION "\",isa=\"c\"} 1\n",
                                        "\ncellserve_model_load_seconds{model=\"m\",version=\"1\"} 1.5\n",
                                        "\ncellserve_model_weight_bytes{model=\"m\",version=\"1\"} 0\n",
                                        "\ncellserve_model_reloads_total{model=\"m\"} 3\n",
                                        "\ncellserve_model_reload_failures_total{model=\"m\"} 0\n",
                                        "\ncellserve_model_reload_failed{model=\"m\"} 0\n",
                                        "\nprocess_cpu_seconds_total ",
                                        "\nprocess_resident_memory_bytes ",
                                        "\nprocess_open_fds "};
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
        assert_has(out.text, lines[i]);
    const char *resident = strstr(out.text, "\nprocess_resident_memory_bytes ");
    assert_true(atof(resident + strlen("\nprocess_resident_memory_bytes ")) > 1e5);
    buffer_close(&out);
    slot.failures = 1;
    slot.failure = "a \"quoted\" reason\\";
    strcpy(slot.failed_version, "2");
    page(&out);
    assert_has(out.text, "\ncellserve_model_reload_failures_total{model=\"m\"} 1\n");
    assert_has(out.text, "\ncellserve_model_reload_failed{model=\"m\",version=\"2\",reason=\"a \\\"quoted\\\" "
                         "reason\\\\\"} 1\n");
    buffer_close(&out);
    slot.failure = NULL;
}

/* Every family has its help, then its type, then its values, and appears once. */
static void every_family_has_help_and_type(void **state)
{
    (void)state;
    struct buffer out;
    char family[128] = "", help[128] = "", seen[64][128];
    size_t families = 0;
    page(&out);
    for (char *line = strtok(out.text, "\n"); line; line = strtok(NULL, "\n")) {
        if (sscanf(line, "# HELP %127s", help) == 1) {
            const char *text = strchr(line + strlen("# HELP "), ' ');
            assert_true(text && text[strlen(text) - 1] == '.');
        } else if (sscanf(line, "# TYPE %127s", family) == 1) {
            assert_string_equal(family, help);
            for (size_t i = 0; i < families; i++)
                assert_string_not_equal(seen[i], family);
            assert_true(families < sizeof seen / sizeof *seen);
            strcpy(seen[families++], family);
        } else if (strncmp(line, family, strlen(family))) {
            fail_msg("\"%s\" stands below the type of %s", line, family);
        }
    }
    assert_int_equal(families, 29); /* without a store of sessions */
    buffer_close(&out);
}

static void a_page_without_room_is_no_page(void **state)
{
    (void)state;
    struct buffer out = {.limit = 1000, .share = &share};
    metrics_page_write(&server.services, &out);
    assert_true(out.too_large);
    assert_true(out.used <= 1000);
    buffer_close(&out);
    assert_int_equal(server.memory.used, 0);
}

int main(void)
{
    settings_init(&settings);
    models[0] = (struct model){.name = (char *)"m", .load_seconds = 1.5, .users = 1};
    strcpy(models[0].version, "1");
    slot = (struct slot){.entry = &entry, .current = models};
    server_init(&server, &settings, &vec_c, 6);
    server.models.slots = &slot;
    server.models.n_slots = 1;
    server.lifecycle.state = SERVER_READY;
    server.memory.limit = 1 << 24;
    models_init(&server.models);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_counted_and_shown), cmocka_unit_test(refused_requests_are_counted),
        cmocka_unit_test(models_and_loads_are_shown),     cmocka_unit_test(every_family_has_help_and_type),
        cmocka_unit_test(a_page_without_room_is_no_page),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    metrics_close(&server.metrics);
    settings_close(&settings);
    return failed;
}
