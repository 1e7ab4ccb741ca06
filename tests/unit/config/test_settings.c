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

static void access_is_read(void **state)
{
    (void)state;
    struct problems problems;
    struct settings s = read_text(
        "{\"host\": \"0.0.0.0\", \"tls\": {\"certificate\": \"a/b.crt\", \"key\": \"/c.key\", \"client_ca\": null}, "
        "\"auth\": {\"keys\": \"keys.txt\", \"open\": [\"/metrics\", \"/v2\"], \"rate\": {\"requests_per_s\": 50}}, "
        "\"admin\": {\"port\": 0}, \"cors\": {\"origins\": [\"https://app.example\", \"*\"]}, "
        "\"hosts\": [\"example.com\"], \"models\": [{\"name\": \"a\", \"path\": \"x\"}]}",
        &problems);
    settings_check(&s, &problems);
    assert_int_equal(problems.all_errors, 0);
    assert_int_equal(problems.all_warnings, 0);
    assert_string_equal(s.tls_certificate, "/tmp/a/b.crt"); /* relative to the file */
    assert_string_equal(s.tls_key, "/c.key");
    assert_string_equal(s.tls_client_ca, "");
    assert_string_equal(s.auth_keys, "/tmp/keys.txt");
    assert_string_equal(s.auth_open, "/metrics,/v2");
    assert_int_equal(s.rate_per_s, 50);
    assert_int_equal(s.rate_burst, 0);
    assert_true(settings_have_admin(&s));
    assert_string_equal(s.cors_origins, "https://app.example,*");
    assert_string_equal(s.hosts, "example.com");
    const char *at = s.auth_open;
    size_t bytes;
    assert_memory_equal(settings_list_next(&at, &bytes), "/metrics", 8);
    assert_int_equal(bytes, 8);
    assert_memory_equal(settings_list_next(&at, &bytes), "/v2", 3);
    assert_null(settings_list_next(&at, &bytes));
    settings_close(&s);
    s = read_text(
        "{\"host\": \"10.0.0.1\", \"auth\": {\"keys\": \"k\"}, \"models\": [{\"name\": \"a\", \"path\": \"x\"}]}",
        &problems);
    settings_check(&s, &problems);
    assert_false(settings_have_admin(&s));
    unit_has_warning(&problems, "keys without TLS", "/auth/keys: keys go over the network in the clear");
    problems_close(&problems);
    settings_close(&s);
}

static void errors_of_values_name_their_place(void **state)
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
        {"{\"limits.max_rows\": 1}",
         "/limits.max_rows: a setting of a section stands in the section's object: \"limits\": {\"max_rows\": …}"},
        {"{\"limits.max_row\": 1}", "/limits.max_row: unknown key"},
        {"{\"limits\": {\"limits.max_rows\": 1}}", "/limits/limits.max_rows: unknown key"},
        {"{\"auth\": []}", "/auth: expected an object, found a list"},
        {"{\"auth\": {\"rate\": 50}}", "/auth/rate: expected an object, found a number"},
        {"{\"auth\": {\"rate\": {\"burst\": -1}}}", "/auth/rate/burst: expected a whole number from 0"},
        {"{\"auth\": {\"rate\": {\"burst\": 5}}}", "/auth/rate/burst: needs \"requests_per_s\""},
        {"{\"auth\": {\"keys\": 5}}", "/auth/keys: expected a path, found a number"},
        {"{\"auth\": {\"open\": [\"metrics\"]}}", "/auth/open: expected paths (\"/metrics\"), found \"metrics\""},
        {"{\"auth\": {\"open\": [5]}}", "/auth/open: expected a list of texts"},
        {"{\"auth\": {\"open\": \"/metrics\"}}", "/auth/open: expected a list of texts, found a text"},
        {"{\"tls\": {\"key\": \"a\"}}", "/tls: \"certificate\" and \"key\" go together"},
        {"{\"tls\": {\"client_ca\": \"a\"}}", "/tls/client_ca: clients' certificates need"},
        {"{\"admin\": {\"port\": 1, \"socket\": \"a\"}}", "/admin: expected either a host and port or a socket"},
        {"{\"admin\": {\"host\": \"0.0.0.0\"}}", "/admin/host: without auth.keys the admin listener must be on"},
        {"{\"cors\": {\"origins\": [\"app.example\"]}}", "/cors/origins: expected origins as browsers send them"},
        {"{\"cors\": {\"origins\": [\"https://a/b\"]}}", "/cors/origins: expected origins as browsers send them"},
        {"{\"hosts\": [\"http://a\"]}", "/hosts: expected names as they stand in Host"},
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
        {"{\"models\": [], \"sessions\": {\"store\": \"redisss://x\"}}", "/sessions/store: expected \"memory\""},
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

static void values_of_other_kinds_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *flag, *value, *error;
    } rows[] = {
        {"--port", "", "flag: expected a whole number from 0 to 65535, found \"\""},
        {"--port", " 1", "flag: expected a whole number from 0 to 65535, found \" 1\""},
        {"--port", "1x", "flag: expected a whole number from 0 to 65535, found \"1x\""},
        {"--port", "65536", "flag: expected a whole number from 0 to 65535, found 65536"},
        {"--port", "99999999999999999999", "flag: expected a whole number from 0 to 65535, found \"9999999999999999"},
        {"--pin", "yes", "flag: expected true or false, found \"yes\""},
        {"--pin", "", "flag: expected true or false, found \"\""},
        {"--log", "xml", "flag: expected one of text|json, found \"xml\""},
        {"--log", "tex", "flag: expected one of text|json, found \"tex\""},
        {"--log-level", "", "flag: expected one of debug|info|warn|error, found \"\""},
        {"--port", "0", NULL},
        {"--pin", "1", NULL},
        {"--pin", "false", NULL},
        {"--log", "json", NULL},
        {"--host", "", NULL},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct settings s;
        struct problems problems = {0};
        char text[64], before[64];
        const struct setting *setting = settings_flag(rows[i].flag);
        settings_init(&s);
        settings_show(&s, setting, before, sizeof before);
        settings_set(&s, setting, rows[i].value, "flag", &problems);
        settings_show(&s, setting, text, sizeof text);
        if (rows[i].error)
            unit_has_error(&problems, rows[i].value, rows[i].error);
        assert_int_equal(problems.all_errors, rows[i].error != NULL);
        assert_string_equal(text, rows[i].error                    ? before
                                  : strcmp(rows[i].flag, "--pin")  ? rows[i].value
                                  : strcmp(rows[i].value, "false") ? "true"
                                                                   : "false");
        problems_close(&problems);
        settings_close(&s);
    }
}

static void unknown_keys_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *text, *line;
    } rows[] = {
        {"{\"prot\": 1}", "/prot: unknown key; did you mean \"port\"?"},
        {"{\"limit\": {}}", "/limit: unknown key; did you mean \"limits\"?"},
        {"{\"limits\": {\"max_row\": 1}}", "/limits/max_row: unknown key; did you mean \"max_rows\"?"},
        {"{\"tsl\": {}}", "/tsl: unknown key; did you mean \"tls\"?"},
        {"{\"tls\": {\"cert\": \"a\"}}", "/tls/cert: unknown key"},
        {"{\"auth\": {\"rate\": {\"brust\": 1}}}", "/auth/rate/brust: unknown key; did you mean \"burst\"?"},
        {"{\"auth.rate.brust\": 1}", "/auth.rate.brust: unknown key"},
        {"{\"limits\": {\"tls\": 1}}", "/limits/tls: unknown key"},
        {"{\"host\": \"a\\u0000b\"}", "/host: expected a text, found a text with a NUL character in it"},
        {"{\"models\": [{\"path\": \"a\\u0000b\"}]}", "/models/0/path: expected a path, found a text with a NUL"},
        {"{\"pin\": \"true\"}", "/pin: expected true or false, found a text"},
        {"{\"log\": {\"level\": \"loud\"}}", "/log/level: expected one of debug|info|warn|error, found \"loud\""},
        {"{\"models\": [{\"nmae\": \"a\"}]}", "/models/0/nmae: unknown key; did you mean \"name\"?"},
        {"{\"models\": [{\"path\": \"b\"}]}", "/models/0: a model needs a \"name\""},
        {"{\"models\": [{\"name\": \"a b\"}]}", "/models/0/name: expected 1 to 100 letters, digits, '.', '_' or '-'"},
        {"{\"models\": [{\"name\": 3}]}", "/models/0/name: expected 1 to 100 letters"},
        {"{\"models\": [{\"path\": \"\"}]}", "/models/0/path: expected a path, found an empty text"},
        {"{\"models\": [{\"path\": 3}]}", "/models/0/path: expected a path, found a number"},
        {"{\"models\": [{\"layer\": 3}]}", "/models/0/layer: expected a layer configuration, found a number"},
        {"{\"models\": [{\"input_size\": 0}]}", "/models/0/input_size: expected a whole number of at least 1"},
        {"{\"models\": [{\"precision\": 8}]}", "expected \"float32\", \"bf16\" or \"int8\", found a number"},
        {"{\"models\": [{\"allow_nonfinite\": null}]}",
         "/models/0/allow_nonfinite: expected true or false, found null"},
        {"{\"models\": [{\"default\": []}]}", "/models/0/default: expected true or false, found a list"},
        {"{\"models\": [{\"name\": \"a\", \"path\": \"b\", \"default\": true}, {\"name\": \"c\", \"path\": "
         "\"d\", \"default\": true}]}",
         "/models: 2 models are marked as the default one"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct problems problems;
        struct settings s = read_text(rows[i].text, &problems);
        settings_check(&s, &problems);
        unit_has_error(&problems, rows[i].text, rows[i].line);
        problems_close(&problems);
        settings_close(&s);
    }
    struct problems problems = {0};
    struct settings s;
    settings_init(&s);
    settings_read_file(&s, "/nowhere/at.all", &problems);
    unit_has_error(&problems, "no file", "/nowhere/at.all: ");
    problems_close(&problems);
    settings_close(&s);
}

static void entries_have_every_key(void **state)
{
    (void)state;
    struct problems problems;
    struct settings s =
        read_text("{\"models\": [{\"name\": \"a\", \"layer\": {\"class_name\": \"GRU\"}, \"seed\": 3, "
                  "\"input_size\": 4, \"precision\": \"int8\", \"allow_nonfinite\": true, \"watch\": true, "
                  "\"default\": false}, {\"name\": \"b\", \"path\": \"/x/y\"}]}",
                  &problems);
    settings_check(&s, &problems);
    assert_int_equal(problems.all_errors, 0);
    const struct model_entry *a = &s.models[0], *b = &s.models[1];
    assert_string_equal(json_string_value(json_object_get(a->layer, "class_name")), "GRU");
    assert_int_equal(a->seed, 3);
    assert_int_equal(a->input_size, 4);
    assert_int_equal(a->precision, PACKED_INT8);
    assert_true(a->allow_nonfinite && a->watch && !a->is_default);
    assert_string_equal(b->path, "/x/y");
    assert_string_equal(b->where, "/models/1");
    assert_true(b->precision == PACKED_FLOAT32 && !b->watch && !b->allow_nonfinite && !b->seed);
    settings_close(&s);
}

static void models_of_the_command_line_are_added(void **state)
{
    (void)state;
    struct settings s;
    struct problems problems = {0};
    settings_init(&s);
    assert_true(settings_add_model(&s, "a.keras"));
    assert_string_equal(s.models[0].name, "a");
    assert_true(s.models[0].is_default);
    static const char *const names[][2] = {{"/x/lstm.dense.keras", "lstm.dense"},
                                           {"models/digits/", "digits"},
                                           {".hidden", ".hidden"},
                                           {"a b.h5", "default"},
                                           {"/", "default"},
                                           {"m.h5", "m"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        assert_true(settings_add_model(&s, names[i][0]));
        assert_string_equal(s.models[1].name, names[i][1]);
        s.n_models--;
        free(s.models[1].name);
        free(s.models[1].path);
        free(s.models[1].where);
    }
    assert_true(settings_add_model(&s, "b.keras"));
    settings_name_model(&s, "b", "--name", &problems);
    assert_string_equal(s.models[1].name, "b");
    assert_int_equal(problems.all_errors, 0);
    settings_name_model(&s, "a/b", "--name", &problems);
    assert_null(s.models[1].name);
    assert_string_equal(problems.errors[0],
                        "--name: expected a name of 1 to 100 letters, digits, '.', '_' and '-', found \"a/b\"");
    problems_close(&problems);
    settings_close(&s);
}

/* settings_lower changes defaults only, not values that were set, and does not go below the setting's minimum. */
static void defaults_are_lowered(void **state)
{
    (void)state;
    struct settings s;
    struct problems problems = {0};
    settings_init(&s);
    assert_false(settings_given(&s, &s.max_rows));
    settings_lower(&s, &s.max_rows, 10000);
    assert_int_equal(s.max_rows, 4096);
    settings_lower(&s, &s.max_rows, 100);
    assert_int_equal(s.max_rows, 100);
    settings_lower(&s, &s.max_response_bytes, 1);
    assert_int_equal(s.max_response_bytes, 1024);
    settings_set(&s, settings_flag("--limits-max-queue"), "1024", "flag", &problems); /* set to the value of the
                                                                                         default */
    assert_true(settings_given(&s, &s.max_queue));
    settings_lower(&s, &s.max_queue, 5);
    assert_int_equal(s.max_queue, 1024);
    assert_int_equal(problems.all_errors, 0);
    settings_close(&s);
}

static void help_has_a_line_for_each_setting(void **state)
{
    (void)state;
    char *text = NULL, variable[64];
    size_t n = 0, lines = 0, rows = 0;
    FILE *out = open_memstream(&text, &n);
    settings_help(out);
    fclose(out);
    for (const char *at = text; (at = strchr(at, '\n')); at++)
        lines++;
    for (const struct setting *row = settings_table; row->key; row++, rows++)
        assert_non_null(strstr(text, row->help));
    assert_int_equal(lines, rows);
    assert_non_null(strstr(text, "  --limits-max-rows              most sequences in one request (4096)\n"));
    free(text);
    settings_variable(settings_flag("--limits-max-rows"), variable, sizeof variable);
    assert_string_equal(variable, "CELLSERVE_LIMITS_MAX_ROWS");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_those_of_the_table),
        cmocka_unit_test(files_are_read),
        cmocka_unit_test(access_is_read),
        cmocka_unit_test(errors_of_values_name_their_place),
        cmocka_unit_test(brackets_of_hosts_are_taken_off),
        cmocka_unit_test(values_of_other_kinds_are_refused),
        cmocka_unit_test(unknown_keys_are_named),
        cmocka_unit_test(entries_have_every_key),
        cmocka_unit_test(models_of_the_command_line_are_added),
        cmocka_unit_test(defaults_are_lowered),
        cmocka_unit_test(help_has_a_line_for_each_setting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
