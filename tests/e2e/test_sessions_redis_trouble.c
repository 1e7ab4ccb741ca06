/* Sessions in Redis during failures of Redis. */
#include "e2e.h"
#include "redis.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

static void assert_no_state(const struct daemon *server)
{
    struct reply reply = http_post(server, "/predict", "{\"instances\": [[[1, 2]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
}

/* Redis is killed and started again, frozen, and loses its scripts. */
static void redis_goes_and_comes_back(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    replica_start(&server, redis.port);
    for (int n = 0; n < 10; n++)
        good_step(&server, "a", n, n);
    redis_kill(&redis);
    struct reply reply = step(&server, "a", 10, 10);
    assert_error(&reply, 503, "session_store_unavailable", "/session");
    assert_non_null(strstr(reply.headers, "Retry-After: 1\r\n"));
    reply_free(&reply);
    assert_no_state(&server);
    reply = http_get(&server, "/healthz?verbose");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    await_page(&server, "/healthz?verbose", "[-]sessions redis: ", true);
    redis_run(&redis);
    good_step(&server, "a", 10, 10);
    redis_kill(&redis); /* and back before anybody asks: nobody need know */
    redis_run(&redis);
    good_step(&server, "idle", 0, 0);
    kill(redis.pid, SIGSTOP);
    double quickest = 1e9;
    for (int i = 0; i < 20 && (i < 5 || quickest > 500); i++) { /* a loaded machine may slow some of them down */
        double began = now_ms();
        reply = step(&server, "a", 11, 11);
        assert_error(&reply, 503, "session_store_unavailable", "/session");
        reply_free(&reply);
        quickest = now_ms() - began < quickest ? now_ms() - began : quickest;
        assert_no_state(&server);
        sleep_ms(200);
    }
    kill(redis.pid, SIGCONT);
    if (quickest > 500)
        fail_msg("a Redis that stands still holds each step up for %.0f ms or longer", quickest);
    good_step(&server, "a", 11, 11);
    assert_int_equal(command(&redis, "SCRIPT FLUSH", NULL, NULL), 0);
    good_step(&server, "a", 12, 12);
    assert_undisturbed(&server, "a", 13);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

static void a_full_redis_changes_nothing(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    replica_start(&server, redis.port);
    good_step(&server, "a", 0, 0);
    command(&redis, "CONFIG SET maxmemory-policy %s", "noeviction", NULL);
    command(&redis, "CONFIG SET maxmemory %s", "1", NULL);
    struct reply reply = patient_step(&server, "a", 1, 1);
    assert_error(&reply, 429, "too_many_sessions", "/session");
    reply_free(&reply);
    assert_no_state(&server);
    command(&redis, "CONFIG SET maxmemory %s", "0", NULL);
    good_step(&server, "a", 1, 1);
    assert_undisturbed(&server, "a", 2);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

/* Foreign bytes under a session's key are an error of this session alone, which a client can repair. */
static void foreign_bytes_are_an_error_of_one_session(void **state)
{
    (void)state;
    static const char *const damages[] = {
        /* %s: the owner of the sessions */
        "SET cellserve:session:%sa garbage",       "SET cellserve:session:%sa cellses2-and-so-on",
        "LPUSH cellserve:session:%sa 1",           "APPEND cellserve:session:%sa x",
        "SETRANGE cellserve:session:%sa 200 xxxx", "COPY cellserve:session:%sb cellserve:session:%sa"};
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    replica_start(&server, redis.port);
    const char *owner = *server.key ? "suite:" : "";
    redisContext *context = redis_connect(&redis);
    freeReplyObject(redisCommand(context, "SELECT 1"));
    good_step(&server, "b", 0, 0);
    for (int i = 0; i < 24; i++) {
        size_t damage = (size_t)i / 4;
        const char *code = damage == 1 ? "state_incompatible" : "session_damaged";
        assert_session(&server, "PUT", "a", "{\"model\": \"m\", \"states\": [[[[0, 0, 0, 0]], [[0, 0, 0, 0]]]]}", 200,
                       NULL);
        if (damage < 3 || damage > 4) /* the other kinds of damage change the existing record */
            freeReplyObject(redisCommand(context, "DEL cellserve:session:%sa", owner));
        freeReplyObject(redisCommand(context, damages[damage], owner, owner));
        assert_session(&server, "GET", "a", NULL, 409, code);
        struct reply reply = patient_step(&server, "a", 0, 0);
        assert_error(&reply, 409, code, "/session");
        assert_true(damage != 1 || strstr(reply.body, "cellses2"));
        reply_free(&reply);
        good_step(&server, "b", i + 1, 0);
        if (i % 4 == 0) {
            reply = ask_patiently(&server, "POST", "/predict",
                                  "{\"session\": \"a\", \"reset\": true, \"instances\": [[[0, 1]]]}");
            assert_int_equal(reply.status, 200);
            assert_int_equal(json_integer_value(json_object_get(reply.json, "step")), 1);
            reply_free(&reply);
        } else if (i % 4 == 1) {
            reply_free(&(struct reply[]){ask_patiently(&server, "DELETE", "/sessions/a", NULL)}[0]);
            assert_session(&server, "GET", "a", NULL, 404, "session_not_found");
        } /* otherwise PUT of the next round repairs it */
    }
    assert_true(metric(&server, "cellserve_session_store_errors_total{kind=\"protocol\"}") == 0);
    assert_true(metric(&server, "cellserve_session_store_damaged_total") >= 48);
    redisFree(context);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

/* Redis answers with errors: the store is down, also in health and metrics, and the log has Redis's error once. */
static void a_read_only_redis_is_down(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    replica_start(&server, redis.port);
    good_step(&server, "a", 0, 0);
    await_metric(&server, "cellserve_session_store_up", 1, 1);
    command(&redis, "REPLICAOF 127.0.0.1 1", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        struct reply reply = step(&server, "a", 1, 1);
        assert_error(&reply, 503, "session_store_unavailable", "/session");
        reply_free(&reply);
        await_metric(&server, "cellserve_session_store_errors_total{kind=\"readonly\"}", i + 1, 1e9);
        await_page(&server, "/healthz?verbose", "[-]sessions redis: readonly\n", true);
        await_metric(&server, "cellserve_session_store_up", 0, 0);
    }
    command(&redis, "REPLICAOF NO ONE", NULL, NULL);
    good_step(&server, "a", 1, 1);
    await_metric(&server, "cellserve_session_store_up", 1, 1);
    char *log = daemon_log_with(&server, "redis answers and takes writes");
    char *said = strstr(log, "READONLY You can't write against a read only replica");
    assert_non_null(said);
    assert_null(strstr(said + 1, "READONLY"));
    assert_non_null(strstr(said, "redis answers and takes writes"));
    free(log);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

/* A peer that starts like Redis and then sends other bytes. */
struct impostor {
    int listener, port;
    const char *answer;
    size_t bytes;
    atomic_bool ending;
};

static void *pretend(void *argument)
{
    struct impostor *impostor = argument;
    static const char greeting[] = "$40\r\n0123456789012345678901234567890123456789\r\n";
    static char flood[1 << 16];
    while (!impostor->ending) {
        struct pollfd poller = {.fd = impostor->listener, .events = POLLIN};
        if (poll(&poller, 1, 50) < 1)
            continue;
        int fd = accept(impostor->listener, NULL, NULL);
        char request[4096];
        bool greeted = false;
        for (ssize_t n; (n = recv(fd, request, sizeof request, 0)) > 0;) {
            if (!greeted && strstr(request, "SELECT"))
                send(fd, "+OK\r\n", 5, MSG_NOSIGNAL);
            else if (!greeted && strstr(request, "SCRIPT"))
                send(fd, greeting, sizeof greeting - 1, MSG_NOSIGNAL);
            else if (!greeted)
                greeted = send(fd, "$0\r\n\r\n", 6, MSG_NOSIGNAL) > 0;
            else if (impostor->bytes)
                send(fd, impostor->answer, impostor->bytes, MSG_NOSIGNAL);
            else
                for (int i = 0; i < 100 && send(fd, flood, sizeof flood, MSG_NOSIGNAL) > 0; i++)
                    ;
            memset(request, 0, sizeof request);
        }
        close(fd);
    }
    return NULL;
}

static void garbage_from_redis_is_an_error(void **state)
{
    (void)state;
#define ANSWER(text)                                                                                                   \
    {                                                                                                                  \
        text, sizeof text - 1                                                                                          \
    }
    static const struct {
        const char *answer;
        size_t bytes;
    } answers[] = {ANSWER("garbage\r\n"),
                   ANSWER(":1\r\n"),
                   ANSWER("+OK\r\n"),
                   ANSWER("*1\r\n:1\r\n"),
                   ANSWER("-ERR nothing\r\n"),
                   ANSWER("$999999999999\r\n"),
                   ANSWER("$-1\r\n$-1\r\n$8\r\n01234567\r\n"),
                   {"", 0}};
    struct impostor impostor = {.listener = socket(AF_INET, SOCK_STREAM, 0)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    pthread_t thread;
    struct daemon server;
    assert_int_equal(bind(impostor.listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(impostor.listener, 8), 0);
    getsockname(impostor.listener, (struct sockaddr *)&address, &size);
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++) {
        impostor.answer = answers[i].answer;
        impostor.bytes = answers[i].bytes;
        impostor.ending = false;
        pthread_create(&thread, NULL, pretend, &impostor);
        replica_start(&server, ntohs(address.sin_port));
        for (int k = 0; k < 3; k++) {
            struct reply reply = step(&server, "a", 0, 0);
            if (reply.status != 503)
                fail_msg("answer %zu: %ld %s", i, reply.status, reply.body);
            reply_free(&reply);
            assert_no_state(&server);
        }
        assert_true(daemon_rss_kib(&server) < 400000);
        assert_int_equal(daemon_stop(&server, SIGINT), 0);
        impostor.ending = true;
        pthread_join(thread, NULL);
    }
    close(impostor.listener);
}

/* ---- the deadline passes after Redis's reply and before a worker uses it ---- */

/* A body with a long row, about 100 KB of gzip. A worker decodes it for at least a third of a second, then refuses
   it. */
static char *slow_body(size_t *bytes)
{
    static const char row[] = "[1,2],";
    size_t n = SANITIZED ? 2000000 : 10000000, room = 1 << 20;
    char *plain = malloc(n * (sizeof row - 1) + 64), *packed = malloc(room), *at = plain;
    assert_true(plain && packed);
    at = stpcpy(at, "{\"instances\": [[");
    for (size_t i = 0; i < n; i++, at += sizeof row - 1)
        memcpy(at, row, sizeof row - 1);
    at = stpcpy(at, "[1,2]]]}");
    z_stream z = {.next_in = (unsigned char *)plain,
                  .avail_in = (uInt)(at - plain),
                  .next_out = (unsigned char *)packed,
                  .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&z, 1, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    *bytes = z.total_out;
    deflateEnd(&z);
    free(plain);
    return packed;
}

/* Make a session with a record of 960 KB, most of which is the stored answer. */
static void large_step(const struct daemon *server, const char *session)
{
    enum { TIMESTEPS = 60000 };
    char *body = malloc(TIMESTEPS * 6 + 200), *at = body;
    at += sprintf(at, "{\"session\": \"%s\", \"step\": 0, \"return_sequences\": true, \"instances\": [[", session);
    for (int t = 0; t < TIMESTEPS; t++)
        at = stpcpy(at, t ? ",[1,2]" : "[1,2]");
    strcpy(at, "]]}");
    struct reply reply = ask_patiently(server, "POST", "/predict", body);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    free(body);
}

/* While Redis is stopped, a request waits for its session. Then the worker gets work and Redis continues, so that
   Redis's reply arrives while the worker is busy. Returns whether the request expired in the queue, which depends on
   the machine's load. */
static bool expires_with_its_record(const struct daemon *server, const struct redis *redis, const char *slow,
                                    size_t slow_bytes)
{
    static const char ask[] = "GET /sessions/large HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                              "X-Request-Timeout-Ms: 150\r\n\r\n";
    char head[200], answer[4096];
    int fd = raw_connect(server), busy = raw_connect(server);
    kill(redis->pid, SIGSTOP);
    raw_send(fd, ask, sizeof ask - 1);
    raw_send(busy, head,
             (size_t)sprintf(head,
                             "POST /predict HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Encoding: gzip\r\n"
                             "Content-Length: %zu\r\n\r\n",
                             slow_bytes));
    raw_send(busy, slow, slow_bytes);
    for (double end = now_ms() + 100; metric(server, "cellserve_running_requests") < 1 && now_ms() < end;)
        ;
    kill(redis->pid, SIGCONT);
    raw_read(fd, answer, sizeof answer, 120000);
    close(fd);
    bool expired = strstr(answer, "The request was not begun within 150 ms");
    raw_read(busy, answer, sizeof answer, 120000);
    if (!strstr(answer, "\"too_many_timesteps\""))
        fail_msg("%.300s", answer);
    close(busy);
    return expired;
}

/* The KiB that some expired requests leave. */
static long left_by(const struct daemon *server, const struct redis *redis, const char *slow, size_t slow_bytes,
                    int times)
{
    long before = daemon_rss_kib(server);
    double end = now_ms() + 120000;
    for (int n = 0; n < times && now_ms() < end;)
        n += expires_with_its_record(server, redis, slow, slow_bytes);
    if (now_ms() >= end)
        fail_msg("the request did not expire in the queue %d times within two minutes", times);
    return daemon_rss_kib(server) - before;
}

/* The record that Redis had sent goes with the request. The allocator may grow for other reasons, but not each time. */
static void an_expired_request_leaves_no_record(void **state)
{
    (void)state;
    enum { TIMES = 4, ROUNDS = 4 };
    struct redis redis;
    struct daemon server;
    char store[64];
    size_t slow_bytes;
    long left = 1 << 30;
    char *slow = slow_body(&slow_bytes);
    redis_start(&redis);
    snprintf(store, sizeof store, "redis://127.0.0.1:%d/1", redis.port);
    daemon_start(
        &server,
        small_config(2, 4, ", \"io_threads\": 1, \"workers\": 1, \"limits\": {\"request_timeout_ms\": 600000}"),
        (const char *const[]){"--sessions-store", store, NULL});
    large_step(&server, "large");
    expires_with_its_record(&server, &redis, slow, slow_bytes);
    for (int i = 0; i < ROUNDS && left > TIMES * 1024 / 2; i++) {
        left = left_by(&server, &redis, slow, slow_bytes, TIMES);
        left = SANITIZED ? 0 : left;
    }
    if (left > TIMES * 1024 / 2)
        fail_msg("%d expired requests with a record of 960 KB each left %ld KiB at least", (int)TIMES, left);
    assert_session(&server, "GET", "large", NULL, 200, NULL); /* its turn was given back */
    good_step(&server, "other", 0, 0);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
    free(slow);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {cmocka_unit_test(redis_goes_and_comes_back),
                                       cmocka_unit_test(a_full_redis_changes_nothing),
                                       cmocka_unit_test(foreign_bytes_are_an_error_of_one_session),
                                       cmocka_unit_test(a_read_only_redis_is_down),
                                       cmocka_unit_test(an_expired_request_leaves_no_record),
                                       cmocka_unit_test(garbage_from_redis_is_an_error)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
