#include "server/http/http_check.h"
#include "tests/unit/unit.h"

/* fields: "Name: value" lines. Returns the status of the failure, 0 for none. */
static int check(const char *method, const char *target, const char *version, const char *fields,
                 struct head_body *body)
{
    struct head_field list[16];
    struct failure failure = {.status = 0};
    size_t n = 0;
    for (const char *at = fields; *at; n++) {
        size_t name = strcspn(at, ":"), value = strcspn(at + name + 1, "\n");
        list[n] = (struct head_field){at, at + name + 2, name, value ? value - 1 : 0};
        at += name + 1 + value;
        at += *at == '\n';
    }
    struct head head = {method, target, version, list, n};
    bool good = http_check_head(&head, 1000, body, &failure);
    assert_int_equal(good, failure.status == 0);
    return failure.status;
}

static void heads_are_judged(void **state)
{
    (void)state;
    static const struct {
        const char *method, *target, *version, *fields;
        int status;
    } rows[] = {
        {"GET", "/", "HTTP/1.1", "Host: a", 0},
        {"GET", "/", "HTTP/1.0", "", 0},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 1000", 0},
        {"POST", "/", "HTTP/1.1", "host: a\ncontent-LENGTH: 5\nExpect: 100-Continue", 0},
        {"POST", "/", "HTTP/1.1", "Host: a\nTransfer-Encoding: Chunked", 0},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 5\nContent-Encoding: identity", 0},
        {"POST", "/", "HTTP/1.1", "Host: a \nContent-Length: 5 \t\nContent-Encoding: gzip ", 0},
        {"POST", "/", "HTTP/1.1", "Host: a\nTransfer-Encoding: chunked ", 400},
        {"GET", "http://a", "HTTP/1.1", "Host: a", 0},
        {"GET", "HTTPS://a:443/x", "HTTP/1.1", "Host: a", 0},
        {"GET", "http:///x", "HTTP/1.1", "Host: a", 400},
        {"GET", "http://u@a/x", "HTTP/1.1", "Host: a", 400},
        {"GET", "ftp://a/x", "HTTP/1.1", "Host: a", 400},
        {"GET", "http://a\x01/x", "HTTP/1.1", "Host: a", 400},
        {"GET", "/", "HTTP/1.1", "", 400},
        {"GET", "/", "HTTP/1.1", "Host: a\nHost: a", 400},
        {"GET", "/", "HTTP/2.0", "Host: a", 400},
        {"GET", "/", "http/1.1", "Host: a", 400},
        {"G T", "/", "HTTP/1.1", "Host: a", 400},
        {"", "/", "HTTP/1.1", "Host: a", 400},
        {"GET", "x", "HTTP/1.1", "Host: a", 400},
        {"GET", "/\x7f", "HTTP/1.1", "Host: a", 400},
        {"GET", "/a b", "HTTP/1.1", "Host: a", 400},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 5\nContent-Length: 5", 400},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 5,5", 400},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: ", 400},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: +5", 400},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 5\nTransfer-Encoding: chunked", 400},
        {"POST", "/", "HTTP/1.1", "Host: a\nTransfer-Encoding: gzip, chunked", 400},
        {"POST", "/", "HTTP/1.1", "Host: a\nTransfer-Encoding: chunked\nTransfer-Encoding: chunked", 400},
        {"POST", "/", "HTTP/1.0", "Transfer-Encoding: chunked", 400},
        {"GET", "/", "HTTP/1.1", "Host: a\nX : b", 400},
        {"GET", "/", "HTTP/1.1", "Host: a\nX: b\rc", 400},
        {"GET", "/", "HTTP/1.1", "Host: a\nX: tab\tis fine", 0},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 1001", 413},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 99999999999999999999999999", 413},
        {"POST", "/", "HTTP/1.1", "Host: a", 411},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 5\nContent-Encoding: br", 415},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 5\nExpect: x", 417},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 5\nX-Request-Timeout-Ms: 0", 400},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 5\nX-Request-Timeout-Ms: 1s", 400},
        {"POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 5\nInference-Header-Content-Length: -1", 400},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct head_body body;
        int status = check(rows[i].method, rows[i].target, rows[i].version, rows[i].fields, &body);
        if (status != rows[i].status)
            fail_msg("row %zu (%s): %d, expected %d", i, rows[i].fields, status, rows[i].status);
    }
}

static void bodies_are_described(void **state)
{
    (void)state;
    struct head_body body;
    check("POST", "/", "HTTP/1.1", "Host: a\nContent-Length: 007\nContent-Encoding: gzip", &body);
    assert_true(body.has_length && body.length == 7 && !body.chunked && body.gzip);
    check("POST", "/", "HTTP/1.1", "Host: a\nTransfer-Encoding: chunked", &body);
    assert_true(!body.has_length && body.chunked && !body.gzip);
    assert_true(!body.timeout_ms && !body.has_json_bytes && !body.accepts_gzip && !body.wants_npy);
    check("POST", "/", "HTTP/1.1",
          "Host: a\nContent-Length: 9\nX-Request-Timeout-Ms: 250\nInference-Header-Content-Length: 0\n"
          "Accept-Encoding: br , GZIP;q=0.5\nAccept: application/json;q=0.1,application/x-npy",
          &body);
    assert_true(body.timeout_ms == 250 && body.has_json_bytes && !body.json_bytes);
    assert_true(body.accepts_gzip && body.wants_npy);
    check("GET", "/", "HTTP/1.1", "Host: a\nAccept-Encoding: gzip;q=0, gzipped\nAccept: */*", &body);
    assert_true(!body.accepts_gzip && !body.wants_npy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heads_are_judged), cmocka_unit_test(bodies_are_described)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
