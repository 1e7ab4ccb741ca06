/* Smuggled and invalid requests on raw sockets: each is refused and ends its connection. */
#include "e2e.h"

#include <signal.h>
#include <unistd.h>

static struct daemon server;

#define BODY "{\"instances\": [[[1, 2]]]}"
#define SECOND "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"

/* Expect the status, and no 404: the bytes after the request must not be handled as a second request. (For some lengths
   libmicrohttpd answers by itself, and sends its head twice.) */
static void refused_once(const char *request, int status)
{
    char answer[16384], bytes[8192];
    snprintf(bytes, sizeof bytes, "%s%s", request, SECOND);
    int fd = raw_connect(&server);
    raw_send(fd, bytes, strlen(bytes));
    raw_read(fd, answer, sizeof answer, 3000);
    close(fd);
    int found = strncmp(answer, "HTTP/1.", 7) ? 0 : atoi(answer + 9);
    if (found != status || strstr(answer, "HTTP/1.1 404"))
        fail_msg("expected %d alone for:\n%s\nfound:\n%s", status, request, answer);
}

static void two_content_lengths_are_refused(void **state)
{
    (void)state;
    refused_once("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\nContent-Length: 5\r\n\r\n" BODY, 400);
    refused_once("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\nContent-Length: 25\r\n\r\n" BODY, 400);
    refused_once("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 25, 25\r\n\r\n" BODY, 400);
}

static void length_beside_transfer_encoding_is_refused(void **state)
{
    (void)state;
    refused_once(
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
    refused_once(
        "POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 400);
}

static void odd_transfer_encodings_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"gzip",     "gzip, chunked", "chunked, chunked",
                                         "identity", "xchunked",      "chunked;q=1"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char request[512];
        snprintf(request, sizeof request, "POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: %s\r\n\r\n0\r\n\r\n",
                 values[i]);
        refused_once(request, 400);
    }
    refused_once("POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: "
                 "chunked\r\n\r\n0\r\n\r\n",
                 400);
    refused_once("POST /predict HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400);
}

static void malformed_lengths_are_refused(void **state)
{
    (void)state;
    static const char *const values[] = {"+5", "-5", "0x5", "5 5", "5a", "", "99999999999999999999999x"};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char request[512];
        snprintf(request, sizeof request, "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: %s\r\n\r\n{}",
                 values[i]);
        int status = raw_status(&server, request);
        if (status != 400 && status != 413)
            fail_msg("%d for Content-Length: %s", status, values[i]);
    }
}

static void names_and_values_are_checked(void **state)
{
    (void)state;
    refused_once("POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length : 25\r\n\r\n" BODY, 400);
    refused_once("POST /predict HTTP/1.1\r\nHost: a\r\nX(y): 1\r\nContent-Length: 25\r\n\r\n" BODY, 400);
    refused_once("POST /predict HTTP/1.1\r\nHost: a\r\nX\x80: 1\r\nContent-Length: 25\r\n\r\n" BODY, 400);
    refused_once("GET /livez HTTP/1.1\r\nHost: a\r\nX-A: b\x01"
                 "c\r\n\r\n",
                 400);
    refused_once("GET /livez HTTP/1.1\r\nHost: a\r\nX-A: b\rc\r\n\r\n", 400);
}

static void hosts_versions_methods_and_targets_are_checked(void **state)
{
    (void)state;
    refused_once("GET /livez HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    refused_once("GET /livez HTTP/1.2\r\nHost: a\r\n\r\n", 400);
    refused_once("G@T /livez HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused_once("GET /livez\x80 HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    refused_once("GET livez HTTP/1.1\r\nHost: a\r\n\r\n", 400);
    assert_int_equal(raw_status(&server, "GET /livez HTTP/1.1\r\nConnection: close\r\n\r\n"), 400); /* no Host */
}

static void expectations_other_than_continue_are_refused(void **state)
{
    (void)state;
    refused_once("POST /predict HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 25\r\n\r\n", 417);
}

static void post_without_length_is_411(void **state)
{
    (void)state;
    refused_once("POST /predict HTTP/1.1\r\nHost: a\r\n\r\n", 411);
}

static void long_heads_are_refused(void **state)
{
    (void)state;
    size_t n = 100000;
    char *request = malloc(n + 200), *at = request;
    at += sprintf(at, "GET /livez HTTP/1.1\r\nHost: a\r\nX-Long: ");
    memset(at, 'a', n);
    strcpy(at + n, "\r\n\r\n");
    int status = raw_status(&server, request);
    assert_true(status == 431 || status == 400 || status == 413 || status == 414);
    at = request + sprintf(request, "GET /livez HTTP/1.1\r\nHost: a\r\n");
    for (int i = 0; i < 300; i++)
        at += sprintf(at, "X-%d: b\r\n", i);
    strcpy(at, "\r\n");
    assert_int_equal(raw_status(&server, request), 431);
    at = request + sprintf(request, "GET /");
    memset(at, 'a', n);
    strcpy(at + n, " HTTP/1.1\r\nHost: a\r\n\r\n");
    status = raw_status(&server, request);
    assert_true(status == 414 || status == 431 || status == 400);
    free(request);
}

/* A head is answered whole, whatever its size: with its answer, or with a 431 where the answer's head would have no room
   beside it. */
static int whole_status(const char *bytes, size_t n)
{
    char answer[16384];
    int fd = raw_connect(&server);
    raw_send(fd, bytes, n);
    size_t got = raw_read(fd, answer, sizeof answer, 20000);
    close(fd);
    const char *length = strcasestr(answer, "\r\nContent-Length: "), *end = strstr(answer, "\r\n\r\n");
    int status = strncmp(answer, "HTTP/1.1 ", 9) ? 0 : atoi(answer + 9);
    bool whole = length && end && length < end &&
                 (size_t)atol(length + sizeof "\r\nContent-Length: " - 1) == got - (size_t)(end + 4 - answer);
    if (!whole || (status != 200 && status != 431))
        fail_msg("a request of %zu bytes is answered by %zu bytes: %s", n, got, answer);
    return status;
}

/* One long field. Returns the status. */
static int status_of_head(const char *line, const char *body, size_t n)
{
    static char bytes[65536];
    int begin = sprintf(bytes, "%s HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\nConnection: close\r\nX-Long: ", line,
                        strlen(body));
    memset(bytes + begin, 'a', n - (size_t)begin - 4);
    sprintf(bytes + n - 4, "\r\n\r\n%s", body);
    return whole_status(bytes, n + strlen(body));
}

/* Many fields after the start of a request. */
static int status_of_fields(const char *start, int n_fields, int value_bytes)
{
    static char bytes[65536];
    char *at = stpcpy(bytes, start);
    for (int i = 0; i < n_fields; i++)
        at += sprintf(at, "X: %0*d\r\n", value_bytes, i);
    at += sprintf(at, "\r\n");
    return whole_status(bytes, (size_t)(at - bytes));
}

static void heads_of_every_size_are_answered(void **state)
{
    (void)state;
    static const struct {
        const char *line, *body;
    } requests[] = {{"GET /livez", ""}, {"POST /predict", BODY}};
    static const size_t ranges[][3] = {{24000, 25200, 60}, {31900, 33100, 40}}; /* first, last, step */
    for (size_t i = 0; i < 2; i++) {
        for (size_t r = 0; r < 2; r++)
            for (size_t n = ranges[r][0]; n <= ranges[r][1]; n += ranges[r][2])
                status_of_head(requests[i].line, requests[i].body, n);
        /* over TLS, the relay adds a field */
        assert_int_equal(status_of_head(requests[i].line, requests[i].body, 24500), 200);
        assert_int_equal(status_of_head(requests[i].line, requests[i].body, 24577), 431);
    }
    static const char fields[] = "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n";
    static const char trailers[] =
        "POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nTransfer-Encoding: chunked"
        "\r\n\r\n19\r\n" BODY "\r\n0\r\n";
    for (int n = 100; n <= 560; n += 5) {
        status_of_fields(trailers, n, 1);
        status_of_fields(fields, n, 1);
    }
    for (int n = 60; n <= 240; n += 3)
        status_of_fields(fields, n, 100);
    assert_int_equal(status_of_fields(fields, 196, 1), 200);
}

/* encodeURIComponent escapes ':' and '~'. */
static void names_in_paths_may_be_escaped(void **state)
{
    (void)state;
    static const struct {
        const char *method, *path, *body;
        int status;
        const char *found;
    } rows[] = {
        {"POST", "/predict", "{\"session\": \"tiny:7\", \"instances\": [[[1, 2]]]}", 200, "\"session\": \"tiny:7\""},
        {"GET", "/sessions/tiny:7", NULL, 200, "\"session\": \"tiny:7\""},
        {"GET", "/sessions/tiny%3A7", NULL, 200, "\"session\": \"tiny:7\""},
        {"DELETE", "/sessions/%74iny%3a7", NULL, 200, "\"session\": \"tiny:7\""},
        {"GET", "/sessions/pump%7E7", NULL, 404, "\"code\": \"session_not_found\""},
        {"GET", "/sessions/pump%7e%C3%A9", NULL, 400, "\"code\": \"invalid_session\""},
        {"POST", "/v1/models/a%2Db:predict", "{\"instances\": [[[1, 2]]]}", 200, "\"predictions\""},
        {"GET", "/v1/models/a%2db", NULL, 200, "\"name\": \"a-b\""},
        {"GET", "/v1/models/%2e%2e", NULL, 404, "\"code\": \"model_not_found\""},
        {"GET", "/sessions/a%2Fb", NULL, 400, "\"code\": \"bad_request\""},
        {"GET", "/sessions/a%00", NULL, 400, "\"code\": \"bad_request\""},
        {"GET", "/sessions/a%0A", NULL, 400, "\"code\": \"bad_request\""},
        {"GET", "/sessions/a%3", NULL, 400, "\"code\": \"bad_request\""},
        {"GET", "/sessions/a%g0", NULL, 400, "\"code\": \"bad_request\""},
        {"GET", "/sessions/a%", NULL, 400, "\"code\": \"bad_request\""},
    };
    struct daemon named;
    daemon_start(&named,
                 "{\"models\": [{\"name\": \"a-b\", \"input_size\": 2, \"layer\": {\"class_name\": \"GRU\", "
                 "\"config\": {\"units\": 2}}}]}",
                 NULL);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct reply reply = http_request(&named, rows[i].method, rows[i].path, rows[i].body, NULL);
        if (reply.status != rows[i].status || !reply.body || !strstr(reply.body, rows[i].found))
            fail_msg("%s %s: %ld %s", rows[i].method, rows[i].path, reply.status, reply.body);
        reply_free(&reply);
    }
    assert_int_equal(daemon_stop(&named, SIGINT), 0);
}

static void chunked_bodies_are_read(void **state)
{
    (void)state;
    assert_int_equal(
        raw_status(&server,
                   "POST /predict HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                   "5\r\n{\"ins\r\n14\r\ntances\": [[[1, 2]]]}\r\n0\r\n\r\n"),
        200);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    char answer[65536];
    static const char requests[] =
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\nX-Request-Id: one\r\n\r\n" BODY
        "GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: two\r\n\r\n"
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nX-Request-Id: three\r\n\r\n{}"
        "GET /livez HTTP/1.1\r\nHost: a\r\nX-Request-Id: four\r\nConnection: close\r\n\r\n";
    int fd = raw_connect(&server);
    raw_send(fd, requests, strlen(requests));
    raw_read(fd, answer, sizeof answer, 3000);
    close(fd);
    const char *at = answer;
    static const char *const expected[] = {"HTTP/1.1 200", "X-Request-Id: one",   "HTTP/1.1 200", "X-Request-Id: two",
                                           "HTTP/1.1 400", "X-Request-Id: three", "HTTP/1.1 200", "X-Request-Id: four"};
    for (size_t i = 0; i < 8; i++) {
        at = strstr(at, expected[i]);
        if (!at)
            fail_msg("no %s in its place in %s", expected[i], answer);
    }
}

static void errors_keep_the_connection_alive(void **state)
{
    (void)state;
    char answer[65536];
    static const char requests[] =
        "GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\nPOST /livez HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabcd"
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n{"
        "GET /livez HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    int fd = raw_connect(&server), count = 0;
    raw_send(fd, requests, strlen(requests));
    raw_read(fd, answer, sizeof answer, 3000);
    close(fd);
    for (const char *at = answer; (at = strstr(at, "HTTP/1.1 ")); at++)
        count++;
    assert_int_equal(count, 4);
    assert_non_null(strstr(answer, "HTTP/1.1 404 "));
    assert_non_null(strstr(answer, "HTTP/1.1 405 "));
    assert_non_null(strstr(answer, "HTTP/1.1 400 "));
    assert_non_null(strstr(answer, "HTTP/1.1 200 "));
}

static void continue_is_sent_when_expected(void **state)
{
    (void)state;
    char answer[8192];
    static const char head[] =
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 25\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n";
    int fd = raw_connect(&server);
    raw_send(fd, head, strlen(head));
    raw_read(fd, answer, sizeof answer, 300);
    assert_int_equal(strncmp(answer, "HTTP/1.1 100 ", 13), 0);
    raw_send(fd, BODY, 25);
    raw_read(fd, answer, sizeof answer, 3000);
    assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
    close(fd);
}

static int start(void **state)
{
    (void)state;
    assert_int_equal(strlen(BODY), 25);
    daemon_start(&server, small_config(2, 3, ""), NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    return daemon_stop(&server, SIGINT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(two_content_lengths_are_refused),
        cmocka_unit_test(length_beside_transfer_encoding_is_refused),
        cmocka_unit_test(odd_transfer_encodings_are_refused),
        cmocka_unit_test(malformed_lengths_are_refused),
        cmocka_unit_test(names_and_values_are_checked),
        cmocka_unit_test(hosts_versions_methods_and_targets_are_checked),
        cmocka_unit_test(expectations_other_than_continue_are_refused),
        cmocka_unit_test(post_without_length_is_411),
        cmocka_unit_test(long_heads_are_refused),
        cmocka_unit_test(heads_of_every_size_are_answered),
        cmocka_unit_test(names_in_paths_may_be_escaped),
        cmocka_unit_test(chunked_bodies_are_read),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(errors_keep_the_connection_alive),
        cmocka_unit_test(continue_is_sent_when_expected),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
