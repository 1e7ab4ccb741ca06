#include "config/environment.h"
#include "config/settings.h"
#include "tests/unit/unit.h"

#include <unistd.h>

static struct settings read_text(const char *text, struct problems *problems)
{
    struct settings settings;
    const char *path = unit_file(".json", text, strlen(text));
    *problems = (struct problems){0};
    settings_init(&settings);
    settings_read_file(&settings, path, problems);
    unlink(path);
    return settings;
}

static void defaults_are_those_of_the_table(void **state)
{
    (void)state;
    struct settings settings;
    settings_init(&settings);
    assert_string_equal(settings.host, "127.0.0.1");
    assert_int_equal(settings.port, 8080);
    assert_int_equal(settings.max_body_bytes, 67108864);
    assert_int_equal(settings.max_rows, 4096);
    assert_int_equal(settings.drain_delay_ms, 2000);
    assert_int_equal(settings.max_inflight_bytes, 1073741824);
    assert_string_equal(settings.log_format, "text");
    for (const struct setting *row = settings_table; row->key; row++) {
        char text[128];
        settings_show(&settings, row, text, sizeof text);
        assert_string_equal(text, row->fallback);
    }
    settings_close(&settings);
}

static void files_are_read(void **state)
{
    (void)state;
    struct problems problems;
    struct settings s = read_text(
        "{\"port\": 0, \"pin\": true, \"limits\": {\"max_rows\": 5}, \"log\": {\"format\": \"json\"}, \"models\": "
        "[{\"name\": \"a\", \"path\": \"x/y.json\", \"seed\": 9, \"input_size\": 2, \"default\": true}]}",
        &problems);
    settings_check(&s, &problems);
    assert_int_equal(problems.n_errors, 0);
    assert_int_equal(s.port, 0);
    assert_true(s.pin);
    assert_int_equal(s.max_rows, 5);
    assert_string_equal(s.log_format, "json");
    assert_int_equal(s.n_models, 1);
    assert_string_equal(s.models[0].path, "/tmp/x/y.json"); /* relative to the file */
    assert_int_equal(s.models[0].seed, 9);
    assert_true(s.models[0].is_default);
    settings_close(&s);
}

static void wrong_values_are_placed(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"[]", "expected an object, found a list"},
        {"{\"port\": \"8080\"}", "/port: expected a whole number, found a text"},
        {"{\"port\": -1}", "/port: expected a whole number from 0 to 65535, found -1"},
        {"{\"port\": 1.5}", "/port: expected a whole number, found a number"},
        {"{\"host\": 3}", "/host: expected a text, found a number"},
        {"{\"limits\": []}", "/limits: expected an object, found a list"},
        {"{\"auth\": {}}", "/auth: \"auth\" is not available yet; remove it"},
        {"{\"models\": {}}", "/models: expected a list, found an object"},
        {"{\"models\": [3]}", "/models/0: expected an object, found a number"},
        {"{\"models\": [{\"name\": \"a\", \"path\": \"b\", \"layer\": {}}]}",
         "/models/0: a model needs either a \"path\" or"},
        {"{\"models\": [{\"name\": \"a\", \"path\": \"b\", \"precision\": \"fp8\"}]}",
         "/models/0/precision: expected \"float32\", \"bf16\" or \"int8\", found fp8"},
        {"{\"models\": [{\"name\": \"a\", \"path\": \"b\", \"watch\": 1}]}",
         "/models/0/watch: expected true or false, found"},
        {"{\"models\": [{\"name\": \"a\", \"path\": \"b\", \"seed\": -3}]}", "/models/0/seed: expected a whole number"},
        {"{\"models\": [{\"name\": \"a\", \"path\": \"b\"}, {\"name\": \"a\", \"path\": \"c\"}]}",
         "/models/1: a second model named \"a\""},
        {"{\"models\": [], \"sessions\": {\"store\": \"rediss://x\"}}", "/sessions/store: expected \"memory\""},
        {"{}", "/models: no model to serve"},
        {"{\"port\": 1, \"port\": 2}", "line 1, column "},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct problems problems;
        struct settings s = read_text(rows[i].text, &problems);
        settings_check(&s, &problems);
        bool found = false;
        for (size_t k = 0; k < problems.n_errors; k++)
            found |= strstr(problems.errors[k], rows[i].line) != NULL;
        if (!found)
            fail_msg("%s: no \"%s\" but \"%s\"", rows[i].text, rows[i].line,
                     problems.n_errors ? problems.errors[0] : "");
        problems_close(&problems);
        settings_close(&s);
    }
}

static void environment_and_flags_are_spelt_by_one_rule(void **state)
{
    (void)state;
    struct settings s;
    struct problems problems = {0};
    settings_init(&s);
    setenv("PORT", "81", 1);
    setenv("CELLSERVE_LIMITS_MAX_QUEUE", "7", 1);
    setenv("CELLSERVE_PIN", "maybe", 1);
    settings_read_environment(&s, &problems);
    assert_int_equal(s.port, 81);
    assert_int_equal(s.max_queue, 7);
    assert_int_equal(problems.n_errors, 1);
    assert_string_equal(problems.errors[0], "CELLSERVE_PIN: expected true or false, found \"maybe\"");
    setenv("CELLSERVE_PORT", "82", 1);
    unsetenv("CELLSERVE_PIN");
    settings_read_environment(&s, &problems);
    assert_int_equal(s.port, 82);
    const char *secret = unit_file(".secret", "redis://:x@a\nmore", 18);
    setenv("CELLSERVE_SESSIONS_STORE_FILE", secret, 1);
    settings_read_environment(&s, &problems);
    assert_string_equal(s.session_store, "redis://:x@a");
    setenv("CELLSERVE_SESSIONS_STORE", "memory", 1); /* the value itself counts more */
    setenv("CELLSERVE_HOST_FILE", "/nowhere", 1);
    settings_read_environment(&s, &problems);
    assert_string_equal(s.session_store, "memory");
    assert_int_equal(problems.n_errors, 2);
    assert_string_equal(problems.errors[1], "CELLSERVE_HOST_FILE: cannot read /nowhere: No such file or directory");
    unsetenv("CELLSERVE_HOST_FILE");
    unsetenv("CELLSERVE_SESSIONS_STORE");
    unsetenv("CELLSERVE_SESSIONS_STORE_FILE");
    unsetenv("PORT");
    unsetenv("CELLSERVE_PORT");
    unsetenv("CELLSERVE_LIMITS_MAX_QUEUE");
    assert_string_equal(settings_flag("--limits-max-queue")->key, "limits.max_queue");
    assert_string_equal(settings_flag("--port")->key, "port");
    assert_string_equal(settings_flag("--log")->key, "log.format");
    assert_null(settings_flag("--limits.max_queue"));
    problems_close(&problems);
    settings_close(&s);
}

/* A variable of the environment alone: the errors that it makes. */
static void with_variable(const char *name, const char *value, const char *error)
{
    struct settings s;
    struct problems problems = {0};
    settings_init(&s);
    setenv(name, value, 1);
    settings_read_environment(&s, &problems);
    unsetenv(name);
    assert_int_equal(problems.n_errors, error ? 1 : 0);
    if (error)
        assert_string_equal(problems.errors[0], error);
    assert_int_equal(s.port, 8080);
    problems_close(&problems);
    settings_close(&s);
}

static void misspelt_variables_are_errors(void **state)
{
    (void)state;
    static const char *const others[][2] = {
        /* of Kubernetes, for Services named cellserve and cellserve-redis */
        {"CELLSERVE_SERVICE_HOST", "10.0.0.1"},
        {"CELLSERVE_SERVICE_PORT", "80"},
        {"CELLSERVE_SERVICE_PORT_HTTP", "80"},
        {"CELLSERVE_PORT", "tcp://10.0.0.1:80"},
        {"CELLSERVE_PORT_8080_TCP", "tcp://10.0.0.1:8080"},
        {"CELLSERVE_PORT_8080_TCP_PROTO", "tcp"},
        {"CELLSERVE_PORT_8080_TCP_PORT", "8080"},
        {"CELLSERVE_PORT_8080_TCP_ADDR", "10.0.0.1"},
        {"CELLSERVE_PORT_53_UDP", "udp://10.0.0.1:53"},
        {"CELLSERVE_REDIS_SERVICE_HOST", "10.0.0.1"},
        {"CELLSERVE_REDIS_PORT", "tcp://10.0.0.1:6379"},
        {"CELLSERVE_REDIS_PORT_6379_TCP_ADDR", "10.0.0.1"},
        /* of the kernels, of scripts, of nobody */
        {"CELLSERVE_ISA", "c"},
        {"CELLSERVE_IMAGE", "cellserve:2"},
        {"CELLSERVE_TEST_ULP", "1"},
        {"CELLSERVER_HOST", "a"},
    };
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        with_variable(others[i][0], others[i][1], NULL);
    with_variable("CELLSERVE_LIMITS_MAX_ROSW", "1",
                  "CELLSERVE_LIMITS_MAX_ROSW: unknown variable; did you mean \"CELLSERVE_LIMITS_MAX_ROWS\"?");
    with_variable("CELLSERVE_MAX_ROWS", "1",
                  "CELLSERVE_MAX_ROWS: unknown variable; did you mean \"CELLSERVE_LIMITS_MAX_ROWS\"?");
    with_variable("CELLSERVE_SESSIONS_STORE_FIEL", "/a",
                  "CELLSERVE_SESSIONS_STORE_FIEL: unknown variable; did you mean \"CELLSERVE_SESSIONS_STORE_FILE\"?");
    with_variable("CELLSERVE_PORT_FILE", "/a",
                  "CELLSERVE_PORT_FILE: unknown variable; did you mean \"CELLSERVE_PORT\"?");
    with_variable("CELLSERVE_DEBUG", "1", "CELLSERVE_DEBUG: unknown variable");
    with_variable("CELLSERVE_PORT_80_HTTP", "1", "CELLSERVE_PORT_80_HTTP: unknown variable");
    with_variable("CELLSERVE_SOMETHING", "", "CELLSERVE_SOMETHING: unknown variable");
    with_variable("CELLSERVE_PORT", "nine", "CELLSERVE_PORT: expected a whole number from 0 to 65535, found \"nine\"");
}

static void brackets_of_hosts_are_taken_off(void **state)
{
    (void)state;
    static const char *const rows[][2] = {{"[::]", "::"}, {"[::1]", "::1"}, {"::1", "::1"}, {"127.0.0.1", "127.0.0.1"},
                                          {"[]", "[]"},   {"[::", "[::"},   {"", ""}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        char plain[32];
        settings_plain_host(rows[i][0], plain, sizeof plain);
        assert_string_equal(plain, rows[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(wrong_values_are_placed),
        cmocka_unit_test(environment_and_flags_are_spelt_by_one_rule),
        cmocka_unit_test(misspelt_variables_are_errors),
        cmocka_unit_test(brackets_of_hosts_are_taken_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
