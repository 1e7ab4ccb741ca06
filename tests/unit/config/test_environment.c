/* Settings from environment variables, and unknown variables. */
#include "config/environment.h"
#include "tests/unit/unit.h"

#include <unistd.h>

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
    setenv("CELLSERVE_SESSIONS_STORE", "memory", 1); /* takes precedence over the file */
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

/* Reads the environment with one variable set; expects this error, or none. */
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
        /* used by core/vec, scripts and tests, or not of cellserve */
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

/* Three variables can set the port: CELLSERVE_PORT before PORT before AIP_HTTP_PORT. */
static void ports_have_three_variables(void **state)
{
    (void)state;
    const char *name;
    assert_null(environment_port(&name));
    setenv("AIP_HTTP_PORT", "1", 1);
    assert_string_equal(environment_port(&name), "1");
    assert_string_equal(name, "AIP_HTTP_PORT");
    setenv("PORT", "2", 1);
    assert_string_equal(environment_port(&name), "2");
    setenv("CELLSERVE_PORT", "3", 1);
    assert_string_equal(environment_port(&name), "3");
    assert_string_equal(name, "CELLSERVE_PORT");
    setenv("CELLSERVE_PORT", "tcp://10.0.0.1:80", 1); /* set by Kubernetes for a Service, so not a port */
    assert_string_equal(environment_port(&name), "2");
    unsetenv("AIP_HTTP_PORT");
    unsetenv("PORT");
    unsetenv("CELLSERVE_PORT");
}

/* The value is the first line of the file; an empty file is an error. */
static void files_hold_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host, *error;
    } rows[] = {{"a\n", "a", NULL},
                {"a\r\nb\n", "a", NULL},
                {"\n", "", NULL},
                {"", "127.0.0.1", "CELLSERVE_HOST_FILE: cannot read %s: it is empty"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings s;
        struct problems problems = {0};
        char line[256];
        const char *path = unit_file(".host", rows[i].text, strlen(rows[i].text));
        settings_init(&s);
        setenv("CELLSERVE_HOST_FILE", path, 1);
        settings_read_environment(&s, &problems);
        unsetenv("CELLSERVE_HOST_FILE");
        assert_string_equal(s.host, rows[i].host);
        assert_int_equal(problems.all_errors, rows[i].error != NULL);
        if (rows[i].error) {
            snprintf(line, sizeof line, rows[i].error, path);
            assert_string_equal(problems.errors[0], line);
        }
        unlink(path);
        problems_close(&problems);
        settings_close(&s);
    }
}

static void passwords_are_overwritten(void **state)
{
    (void)state;
    static const struct {
        const char *value, *left;
    } rows[] = {{"redis://user:p@ss@host:1/2", "redis://*********@host:1/2"},
                {"redis+unix://:x@/run/redis.sock", "redis+unix://**@/run/redis.sock"},
                {"redis://host/1", "redis://host/1"},
                {"redis://@host", "redis://@host"},
                {"a@b", "a@b"}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings s;
        struct problems problems = {0};
        settings_init(&s);
        setenv("CELLSERVE_SESSIONS_STORE", rows[i].value, 1);
        settings_read_environment(&s, &problems);
        assert_string_equal(s.session_store, rows[i].value);
        assert_string_equal(getenv("CELLSERVE_SESSIONS_STORE"), rows[i].left);
        problems_close(&problems);
        settings_close(&s);
    }
    unsetenv("CELLSERVE_SESSIONS_STORE");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(environment_and_flags_are_spelt_by_one_rule),
                                       cmocka_unit_test(misspelt_variables_are_errors),
                                       cmocka_unit_test(ports_have_three_variables), cmocka_unit_test(files_hold_texts),
                                       cmocka_unit_test(passwords_are_overwritten)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
