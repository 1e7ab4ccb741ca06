/* Web pages: Host, Origin, CORS. The tests send the requests that a browser would send. */
#include "e2e.h"

#include <signal.h>
#include <unistd.h>

#define BODY "{\"instances\": [[[0.5, -1]]]}"
#define SESSION "{\"session\": \"s\", \"instances\": [[[0.5, -1]]]}"

/* The test harness accepts every Host by a variable, which is removed here. */
static void own_hosts(void)
{
    unsetenv("CELLSERVE_HOSTS");
}

static void start(struct daemon *daemon, const char *more)
{
    daemon_spawn(daemon, small_config(2, 3, more), NULL, own_hosts);
    daemon_await(daemon);
}

static struct reply ask(const struct daemon *daemon, const char *method, const char *path, const char *body,
                        const char *host, const char *origin)
{
    char host_line[300], origin_line[300];
    const char *headers[3] = {NULL};
    size_t n = 0;
    snprintf(host_line, sizeof host_line, "Host: %s", host ? host : "");
    snprintf(origin_line, sizeof origin_line, "Origin: %s", origin ? origin : "");
    if (host)
        headers[n++] = host_line;
    if (origin)
        headers[n++] = origin_line;
    return http_request(daemon, method, path, body, headers);
}

static void expect(struct reply reply, const char *what, long status, const char *code)
{
    const char *found = json_string_value(json_object_get(reply.json, "code"));
    if (reply.status != status || (code && (!found || strcmp(found, code))))
        fail_msg("%s: expected %ld %s, found %ld: %s", what, status, code ? code : "", reply.status,
                 reply.body ? reply.body : "");
    reply_free(&reply);
}

static void names_of_this_machine_alone_are_known(void **state)
{
    (void)state;
    struct daemon daemon;
    char machine[256] = "", own[300], forwarded[64];
    start(&daemon, "");
    gethostname(machine, sizeof machine - 1);
    snprintf(own, sizeof own, "%s:8080", machine);
    const char *const good[] = {"localhost", "LocalHost:1", "127.0.0.1", "127.0.0.1:80", "[::1]", "[::1]:8080", own};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        expect(ask(&daemon, "POST", "/predict", BODY, good[i], NULL), good[i], 200, NULL);
    static const char *const bad[] = {"evil.example",    "evil.example:8080", "localhost.evil.example",
                                      "127.0.0.1.evil",  "10.0.0.1",          "[::2]",
                                      "localhost:80:80", "127.0.0.1:x"};
    static const char *const paths[] = {"/predict", "/sessions/s", "/v1/models", "/metrics", "/livez", "/nothing"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        for (size_t p = 0; p < sizeof paths / sizeof *paths; p++)
            expect(ask(&daemon, p ? "GET" : "POST", paths[p], p ? NULL : BODY, bad[i], NULL), bad[i], 403,
                   "unknown_host");
    snprintf(forwarded, sizeof forwarded, "X-Forwarded-Host: localhost");
    const char *headers[] = {"Host: evil.example", forwarded, NULL};
    expect(http_request(&daemon, "POST", "/predict", BODY, headers), "X-Forwarded-Host", 403, "unknown_host");
    struct reply reply = ask(&daemon, "GET", "/v1/models", NULL, "evil.example", NULL);
    assert_non_null(strstr(reply.body, "hosts"));
    reply_free(&reply);
    assert_int_equal(raw_status(&daemon, "GET /v1/models HTTP/1.0\r\n\r\n"), 200); /* pages do not send requests without
                                                                                      Host */
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
}

static void hosts_are_those_of_the_setting(void **state)
{
    (void)state;
    struct daemon daemon;
    start(&daemon, ", \"hosts\": [\"example.com\", \"other.example:8443\"]");
    static const struct {
        const char *host;
        long status;
    } rows[] = {
        {"example.com", 200},    {"EXAMPLE.com:443", 200}, {"other.example:8443", 200}, {"other.example:8444", 403},
        {"localhost", 403},      {"127.0.0.1", 200}, /* for health checks on this
                                                                                              machine */
        {"sub.example.com", 403}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(ask(&daemon, "GET", "/v1/models", NULL, rows[i].host, NULL), rows[i].host, rows[i].status, NULL);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
}

/* Foreign pages can neither compute nor read or change a session. A browser lets a page read only answers with
   Access-Control-Allow-Origin. */
static void foreign_pages_can_do_nothing(void **state)
{
    (void)state;
    struct daemon daemon;
    char same[64], other_port[64];
    start(&daemon, "");
    snprintf(same, sizeof same, "http://127.0.0.1:%d", daemon.port);
    snprintf(other_port, sizeof other_port, "http://127.0.0.1:%d", daemon.port + 1);
    expect(ask(&daemon, "POST", "/predict", SESSION, NULL, same), "the own page", 200, NULL);
    const char *const origins[] = {
        "https://evil.example", "null", other_port, "http://localhost", "file://", "evil", "http://"};
    for (size_t i = 0; i < sizeof origins / sizeof *origins; i++) {
        const char *o = origins[i];
        expect(ask(&daemon, "POST", "/predict", BODY, NULL, o), o, 403, "forbidden_origin");
        expect(ask(&daemon, "POST", "/v1/models/m:predict", BODY, NULL, o), o, 403, "forbidden_origin");
        expect(ask(&daemon, "GET", "/sessions/s", NULL, NULL, o), o, 403, "forbidden_origin");
        expect(ask(&daemon, "DELETE", "/sessions/s", NULL, NULL, o), o, 403, "forbidden_origin");
        expect(ask(&daemon, "PUT", "/sessions/s", "{}", NULL, o), o, 403, "forbidden_origin");
        expect(ask(&daemon, "OPTIONS", "/predict", NULL, NULL, o), o, 405, "method_not_allowed");
        struct reply reply =
            ask(&daemon, "GET", "/v1/models", NULL, NULL, o); /* the server answers, but the page cannot read the
                                                                 answer */
        assert_int_equal(reply.status, 200);
        assert_null(strcasestr(reply.headers, "access-control"));
        reply_free(&reply);
    }
    json_t *session = ok(http_get(&daemon, "/sessions/s"));
    assert_int_equal(json_integer_value(json_object_get(session, "step")), 1);
    json_decref(session);
    /* the server's own page behind a proxy that terminates TLS */
    expect(ask(&daemon, "POST", "/predict", BODY, "localhost", "https://localhost"), "a proxy's page", 200, NULL);
    expect(ask(&daemon, "POST", "/predict", BODY, "localhost:443", "https://localhost"), "a proxy's page", 200, NULL);
    expect(ask(&daemon, "POST", "/predict", BODY, "localhost:443", "http://localhost"), "a page of http", 403, NULL);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
}

static void permitted_pages_can_do_all(void **state)
{
    (void)state;
    struct daemon daemon;
    start(&daemon, ", \"cors\": {\"origins\": [\"https://app.example\"]}");
    static const char app[] = "https://app.example";
    static const char *const preflight[] = {"Origin: https://app.example", "Access-Control-Request-Method: POST",
                                            "Access-Control-Request-Headers: content-type,authorization",
                                            "Access-Control-Request-Private-Network: true", NULL};
    static const char *const paths[] = {"/predict", "/sessions/s", "/nothing"};
    for (size_t i = 0; i < 3; i++) {
        struct reply reply = http_request(&daemon, "OPTIONS", paths[i], NULL, preflight);
        assert_int_equal(reply.status, 204);
        assert_non_null(strstr(reply.headers, "Access-Control-Allow-Origin: https://app.example\r\n"));
        assert_non_null(strstr(reply.headers, "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, DELETE\r\n"));
        assert_non_null(strstr(reply.headers, "Authorization, X-API-Key, Content-Type"));
        assert_non_null(strstr(reply.headers, "Access-Control-Allow-Private-Network: true\r\n"));
        assert_non_null(strstr(reply.headers, "Vary: Origin\r\n"));
        reply_free(&reply);
    }
    struct reply reply = ask(&daemon, "POST", "/predict", SESSION, NULL, app);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.headers, "Access-Control-Allow-Origin: https://app.example\r\n"));
    assert_non_null(strstr(reply.headers, "Access-Control-Expose-Headers: X-Request-Id"));
    reply_free(&reply);
    reply = ask(&daemon, "GET", "/sessions/s", NULL, NULL, app);
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.headers, "Access-Control-Allow-Origin: https://app.example\r\n"));
    reply_free(&reply);
    expect(ask(&daemon, "DELETE", "/sessions/s", NULL, NULL, app), "DELETE", 200, NULL);
    expect(ask(&daemon, "POST", "/predict", BODY, NULL, "https://app.example.evil"), "another", 403,
           "forbidden_origin");
    expect(ask(&daemon, "POST", "/predict", BODY, NULL, "http://app.example"), "another scheme", 403,
           "forbidden_origin");
    expect(ask(&daemon, "OPTIONS", "/predict", NULL, NULL, "https://evil.example"), "a preflight", 403,
           "forbidden_origin");
    char out[2048];
    int fd = raw_connect(&daemon);
    static const char star[] = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    raw_send(fd, star, sizeof star - 1);
    raw_read(fd, out, sizeof out, 20000);
    close(fd);
    assert_non_null(strstr(out, "HTTP/1.1 204 "));
    assert_non_null(strstr(out, "Allow: GET, HEAD, POST, PUT, DELETE\r\n"));
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
}

static void any_page_can_be_permitted(void **state)
{
    (void)state;
    struct daemon daemon;
    start(&daemon, ", \"cors\": {\"origins\": [\"*\"]}");
    struct reply reply = ask(&daemon, "POST", "/predict", BODY, NULL, "null");
    assert_int_equal(reply.status, 200);
    assert_non_null(strstr(reply.headers, "Access-Control-Allow-Origin: null\r\n"));
    reply_free(&reply);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
}

/* Preflight requests have no key. A permitted page can read the 401, so that it can ask for a key. */
static void preflights_need_no_key(void **state)
{
    (void)state;
    struct daemon daemon;
    char path[64], more[256];
    snprintf(path, sizeof path, "/tmp/cellserve-test-%d-origin.keys", (int)getpid());
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fclose(file);
    snprintf(more, sizeof more, ", \"cors\": {\"origins\": [\"https://app.example\"]}, \"auth\": {\"keys\": \"%s\"}",
             path);
    start(&daemon, more);
    static const char *const preflight[] = {"Origin: https://app.example", "Access-Control-Request-Method: POST", NULL};
    expect(http_request(&daemon, "OPTIONS", "/predict", NULL, preflight), "a preflight", 204, NULL);
    struct reply reply = ask(&daemon, "POST", "/predict", BODY, NULL, "https://app.example");
    assert_int_equal(reply.status, 401);
    assert_non_null(strstr(reply.headers, "Access-Control-Allow-Origin: https://app.example\r\n"));
    reply_free(&reply);
    assert_int_equal(daemon_stop(&daemon, SIGINT), 0);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_this_machine_alone_are_known),
        cmocka_unit_test(hosts_are_those_of_the_setting),
        cmocka_unit_test(foreign_pages_can_do_nothing),
        cmocka_unit_test(permitted_pages_can_do_all),
        cmocka_unit_test(any_page_can_be_permitted),
        cmocka_unit_test(preflights_need_no_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
