/* Sessions do not wait for each other while bodies are decoded. Within a session, requests run in the order of
   arrival. */
#include "e2e.h"

#include <signal.h>
#include <unistd.h>
#include <zlib.h>

static const char models[] = "{\"models\": [{\"name\": \"m\", \"input_size\": 1, \"layer\": {\"class_name\": \"LSTM\", "
                             "\"config\": {\"units\": 2}}}], \"admin\": {\"port\": 0}, \"workers\": 2, \"limits\": "
                             "{\"max_timesteps\": 1000000, \"request_timeout_ms\": 600000}}";

/* A long body: while it is decoded and run, requests behind it arrive. */
enum { LONG = SANITIZED ? 100000 : 900000, QUITE_LONG = LONG / 3 };

/* A body with a sequence; the session's name follows the sequence, or precedes it. */
static char *body_of(const char *session, size_t timesteps, bool behind, size_t *bytes)
{
    char *body = malloc(256 + timesteps * 4), *at = body + sprintf(body, "{");
    if (!behind)
        at += sprintf(at, "\"session\": \"%s\", ", session);
    at += sprintf(at, "\"instances\": [[");
    for (size_t t = 0; t < timesteps; t++)
        at = stpcpy(at, t ? ",[1]" : "[1]");
    at += sprintf(at, "]]");
    if (behind)
        at += sprintf(at, ", \"session\": \"%s\"", session);
    *bytes = (size_t)(stpcpy(at, "}") - body);
    return body;
}

/* Compress a body with gzip, and free it. */
static char *pack(char *body, size_t *bytes)
{
    char *packed = malloc(*bytes / 2 + 1024);
    z_stream z = {.next_in = (unsigned char *)body,
                  .avail_in = (uInt)*bytes,
                  .next_out = (unsigned char *)packed,
                  .avail_out = (uInt)(*bytes / 2 + 1024)};
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *bytes = z.total_out;
    deflateEnd(&z);
    free(body);
    return packed;
}

static int send_body(const struct daemon *server, const char *body, size_t bytes, bool gzip)
{
    char head[256];
    int fd = raw_connect(server),
        n = sprintf(head, "POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%sContent-Length: %zu\r\n\r\n",
                    gzip ? "Content-Encoding: gzip\r\n" : "", bytes);
    raw_send(fd, head, (size_t)n);
    raw_send(fd, body, bytes);
    return fd;
}

/* Requests of another session until the answer of a large one is there; the longest of them in ms. */
static double longest_beside(const struct daemon *server, int large)
{
    double longest = 0;
    do {
        double began = now_ms();
        struct reply reply = http_post(server, "/predict", "{\"instances\": [[[1]]], \"session\": \"small\"}");
        assert_int_equal(reply.status, 200);
        reply_free(&reply);
        longest = now_ms() - began > longest ? now_ms() - began : longest;
    } while (!is_readable(large));
    return longest;
}

/* While a body of 60 MB of one session is decoded, other sessions make progress. A loaded machine may need several
   tries. */
static void a_large_body_delays_its_own_session_alone(void **state)
{
    (void)state;
    struct daemon server;
    daemon_start(&server, models, NULL);
    struct daemon admin = admin_of(&server);
    for (int gzip = 0; gzip < 2; gzip++) {
        size_t bytes;
        char *body = body_of("large", SANITIZED ? 2000000 : 15000000, true, &bytes), answer[4096];
        bool good = false;
        if (gzip)
            body = pack(body, &bytes);
        for (int i = 0; i < 10 && !good; i++) {
            int fd = send_body(&server, body, bytes, gzip);
            bool runs = await_running_or_answer(&admin, fd);
            double began = now_ms();
            good = longest_beside(&server, fd) < (now_ms() - began) / 2 && runs;
            raw_read(fd, answer, sizeof answer, 60000);
            assert_non_null(strstr(answer, "\"too_many_timesteps\""));
            close(fd);
        }
        assert_true(good);
        free(body);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static double step_of(int fd)
{
    char answer[8192];
    raw_read(fd, answer, sizeof answer, 300000);
    close(fd);
    const char *at = strstr(answer, "\"step\": ");
    if (!at)
        fail_msg("no step: %s", answer);
    return atof(at + 8);
}

/* Decoding the first of two requests takes long; the second is decoded at once. */
static void the_first_to_come_is_the_first_step(void **state)
{
    (void)state;
    struct daemon server;
    daemon_start(&server, models, NULL);
    struct daemon admin = admin_of(&server);
    for (int i = 0; i < 4; i++) {
        bool gzip = i % 2, behind = i / 2;
        size_t bytes, few;
        char session[16];
        sprintf(session, "s%d", i);
        if (gzip && behind)
            continue; /* its session is not known before it is decoded */
        char *body = body_of(session, QUITE_LONG, behind, &bytes), *quick = body_of(session, 1, true, &few);
        if (gzip)
            body = pack(body, &bytes);
        int first = send_body(&server, body, bytes, gzip);
        await_running_or_answer(&admin, first);
        int second = send_body(&server, quick, few, false);
        assert_true(step_of(second) == 2);
        assert_true(step_of(first) == 1);
        free(body), free(quick);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Of all ways in which a session is named, one after the other without waiting for answers. Each has its place when the next
   is sent. */
static void every_body_keeps_its_place(void **state)
{
    (void)state;
    enum { N = 12 };
    struct daemon server;
    int fds[N];
    size_t bytes;
    daemon_start(&server, models, NULL);
    struct daemon admin = admin_of(&server);
    char *body = body_of("a", 900000, false, &bytes);
    int first = send_body(&server, body, bytes, false);
    free(body);
    await_running_or_answer(&admin, first);
    for (int i = 0; i < N; i++) {
        body = body_of("a", 1 + (size_t)(i % 7) * 200, i % 3, &bytes);
        if (i % 2)
            body = pack(body, &bytes);
        fds[i] = send_body(&server, body, bytes, i % 2);
        free(body);
        await_turn(&admin, fds[i], first, i + 1);
    }
    assert_true(step_of(first) == 1);
    for (int i = 0; i < N; i++)
        assert_true(step_of(fds[i]) == i + 2);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_large_body_delays_its_own_session_alone),
                                       cmocka_unit_test(the_first_to_come_is_the_first_step),
                                       cmocka_unit_test(every_body_keeps_its_place)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
