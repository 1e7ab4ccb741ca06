/* routes.c, request.c without a socket */
#include "server/api/routes.h"
#include "server/run/server.h"
#include "tests/unit/unit.h"

static struct settings settings;
static struct model models[1];
static struct model_entry entry = {.name = (char *)"m"};
static struct slot slot;
static struct server server;

static void route(struct request *request, const char *method, const char *target)
{
    assert_true(request_init(request, &server.services, target));
    request->route = route_none();
    snprintf(request->head.method, sizeof request->head.method, "%s", method);
    route_request(request);
}

static void targets_find_their_routes(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target, *name;
        int status;
    } rows[] = {
        {"GET", "/livez", "/livez", 0},
        {"HEAD", "/livez?x=1", "/livez", 0},
        {"POST", "/predict", "/predict", 0},
        {"GET", "/predict", "/predict", 405},
        {"DELETE", "/metrics", "/metrics", 405},
        {"GET", "/v1/models", "/v1/models", 0},
        {"GET", "/v1/models/m", "/v1/models/{m}", 0},
        {"GET", "/v1/models/m/metadata", "/v1/models/{m}/metadata", 0},
        {"GET", "/v1/models/m/versions/1/metadata", "/v1/models/{m}/metadata", 0},
        {"POST", "/v1/models/m:step", "/v1/models/{m}:step", 0},
        {"POST", "/v1/models/m/versions/1:step", "/v1/models/{m}:step", 0},
        {"POST", "/v1/models/m/versions/12:step", "/v1/models/{m}:step", 404},
        {"POST", "/v1/models/x:step", "/v1/models/{m}:step", 404},
        {"GET", "/v1/models/m:step", "/v1/models/{m}:step", 405},
        {"GET", "/v1/models//metadata", "other", 404},
        {"GET", "/sessions/a:1.b~-", "GET /sessions/{id}", 0},
        {"HEAD", "/sessions/a", "GET /sessions/{id}", 0},
        {"PUT", "/sessions/a", "PUT /sessions/{id}", 0},
        {"DELETE", "/sessions/a", "DELETE /sessions/{id}", 0},
        {"POST", "/sessions/a", "GET /sessions/{id}", 405},
        {"GET", "/sessions/", "other", 404},
        {"GET", "/sessions/a/b", "other", 404},
        {"GET", "/v1/models/%6D", "/v1/models/{m}", 0},
        {"POST", "/%76%31/models/%6d%3astep", "/v1/models/{m}:step", 0},
        {"GET", "http://host:80/livez", "/livez", 0},
        {"GET", "https://host", "/", 0},
        {"GET", "/sessions/a%3A1%7e", "GET /sessions/{id}", 0},
        {"GET", "/sessions/a%2fb", "other", 400},
        {"GET", "/sessions/a%00", "other", 400},
        {"GET", "/sessions/a%1fb", "other", 400},
        {"GET", "/sessions/a%7f", "other", 400},
        {"GET", "/sessions/a%", "other", 400},
        {"GET", "/sessions/a%2", "other", 400},
        {"GET", "/sessions/a%x1", "other", 400},
        {"GET", "/sessions/%%41", "other", 400},
        {"GET", "/nothing", "other", 404},
        {"GET", "", "other", 404},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct request request;
        route(&request, rows[i].method, rows[i].target);
        if (request.answer.status != rows[i].status || strcmp(request.route->name, rows[i].name))
            fail_msg("%s %s: %d %s", rows[i].method, rows[i].target, request.answer.status, request.route->name);
        request_close(&request);
    }
    static const struct {
        const char *name, *target, *found;
    } named[] = {
        {"m", "/v2/models/stats", "/v2/models/stats"},
        {"stats", "/v2/models/stats", "/v2/models/{m}"},
        {"stats", "/v2/models/stats/stats", "/v2/models/{m}/stats"},
        {"stats", "/v1/models/stats", "/v1/models/{m}"},
    };
    struct request request;
    for (size_t i = 0; i < sizeof named / sizeof *named; i++) {
        entry.name = (char *)(uintptr_t)named[i].name;
        route(&request, "GET", named[i].target);
        if (request.answer.status || strcmp(request.route->name, named[i].found))
            fail_msg("a model %s, %s: %d %s", named[i].name, named[i].target, request.answer.status,
                     request.route->name);
        request_close(&request);
    }
    entry.name = (char *)"m";
    char *longer = malloc(5000);
    memset(longer, 'a', 4999);
    memcpy(longer, "/v1/models/", 11);
    longer[4999] = 0;
    route(&request, "GET", longer);
    assert_int_equal(request.answer.status, 404);
    request_close(&request);
    free(longer);
}

/* The OpenAPI document is generated from the table of routes, so each row needs a description. */
static void every_route_is_described(void **state)
{
    (void)state;
    const struct route *r;
    size_t bodies = 0;
    for (size_t i = 0; (r = route_at(i)) && r != route_none(); i++) {
        bool takes_body = !strcmp(r->method, "PUT") || (!strcmp(r->method, "POST") && r->kind == ROUTE_WORKER);
        if (!r->summary || !*r->summary)
            fail_msg("%s has no summary", r->name);
        if (takes_body != (r->body != NULL))
            fail_msg("%s: body %d", r->name, r->body != NULL);
        if (r->kind != ROUTE_PROBE && !r->answer_schema)
            fail_msg("%s has no schema of its answer", r->name);
        bodies += takes_body;
    }
    assert_int_equal(bodies, 7);
}

static void error_answers_are_json_whatever_is_in_them(void **state)
{
    (void)state;
    struct request request;
    assert_true(request_init(&request, &server.services, "/"));
    char text[400];
    for (int i = 0; i < 399; i++)
        text[i] = (char)(i % 3 == 0 ? '"' : i % 3 == 1 ? '\\' : 1 + i % 31);
    text[399] = 0;
    struct failure failure = {.status = 400, .code = "odd"};
    memcpy(failure.text, text, sizeof failure.text - 1);
    memcpy(failure.path, text, sizeof failure.path - 1);
    answer_failure(&request, &failure);
    json_t *json = json_loadb(request.answer.text, request.answer.text_bytes, 0, NULL);
    assert_non_null(json);
    assert_string_equal(json_string_value(json_object_get(json, "code")), "odd");
    json_decref(json);
    request_close(&request);
}

static void answers_too_large_become_413(void **state)
{
    (void)state;
    struct request request;
    assert_true(request_init(&request, &server.services, "/"));
    request.answer.buffer.limit = 1024;
    for (int i = 0; i < 2000; i++)
        buffer_text(&request.answer.buffer, "0123456789");
    answer_buffer(&request, 200, "application/json");
    assert_int_equal(request.answer.status, 413);
    assert_non_null(strstr(request.answer.error, "response_too_large"));
    request_close(&request);
    assert_int_equal(server.memory.used, 0);
}

int main(void)
{
    settings_init(&settings);
    models[0].name = (char *)"m";
    strcpy(models[0].version, "1");
    server_init(&server, &settings, &vec_c, 1);
    models[0].users = 1;
    slot = (struct slot){.entry = &entry, .current = models};
    server.models.slots = &slot;
    server.models.n_slots = 1;
    models_init(&server.models);
    server.lifecycle.state = SERVER_READY;
    server.memory.limit = 1 << 24;
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(targets_find_their_routes), cmocka_unit_test(every_route_is_described),
        cmocka_unit_test(error_answers_are_json_whatever_is_in_them), cmocka_unit_test(answers_too_large_become_413)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    settings_close(&settings);
    return failed;
}
