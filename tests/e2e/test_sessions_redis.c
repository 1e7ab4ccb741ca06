/* Sessions in Redis: any replica, every step once, and what happens when Redis does not do what it should. */
#include "e2e.h"

#include <fcntl.h>
#include <hiredis/hiredis.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A Redis of the test's own that keeps everything it has acknowledged. */
struct redis {
    pid_t pid;
    int port;
    char folder[64];
};

static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    getsockname(fd, (struct sockaddr *)&address, &size);
    close(fd);
    return ntohs(address.sin_port);
}

static redisContext *redis_connect(const struct redis *redis)
{
    const struct timeval timeout = {.tv_sec = 5};
    for (int i = 0; i < 200; i++) {
        redisContext *context = redisConnectWithTimeout("127.0.0.1", redis->port, timeout);
        redisReply *reply = context && !context->err ? redisCommand(context, "PING") : NULL;
        bool there = reply && reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        if (there)
            return context;
        redisFree(context);
        sleep_ms(25);
    }
    fail_msg("redis-server does not start");
    return NULL;
}

static void redis_run(struct redis *redis)
{
    char port[8], socket_path[100];
    snprintf(port, sizeof port, "%d", redis->port);
    snprintf(socket_path, sizeof socket_path, "%s/redis.sock", redis->folder);
    redis->pid = fork();
    if (!redis->pid) {
        end_with_the_test();
        int log = open("/dev/null", O_WRONLY);
        dup2(log, 1);
        dup2(log, 2);
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--unixsocket", socket_path,
               "--save", "", "--appendonly", "yes", "--appendfsync", "always", "--dir", redis->folder, (char *)NULL);
        _exit(127);
    }
    redisFree(redis_connect(redis));
}

static void redis_start(struct redis *redis)
{
    strcpy(redis->folder, "/tmp/cellserve-test-redis-XXXXXX");
    assert_non_null(mkdtemp(redis->folder));
    redis->port = free_port();
    redis_run(redis);
}

static void redis_kill(struct redis *redis)
{
    kill(redis->pid, SIGKILL);
    waitpid(redis->pid, NULL, 0);
}

static void redis_stop(struct redis *redis)
{
    char command[128];
    redis_kill(redis);
    snprintf(command, sizeof command, "rm -rf %s", redis->folder);
    assert_int_equal(system(command), 0);
}

static long command(const struct redis *redis, const char *format, const char *a, const char *b)
{
    redisContext *context = redis_connect(redis);
    redisReply *reply = redisCommand(context, format, a, b);
    long value = reply && reply->type != REDIS_REPLY_ERROR ? reply->integer : -1;
    freeReplyObject(reply);
    redisFree(context);
    return value;
}

static void replica_start(struct daemon *server, int port)
{
    char store[64];
    snprintf(store, sizeof store, "redis://127.0.0.1:%d/1", port);
    daemon_start(server, small_config(2, 4, ""), (const char *const[]){"--sessions-store", store, NULL});
}

static struct reply step(const struct daemon *server, const char *session, int n, double value)
{
    char body[200];
    snprintf(body, sizeof body, "{\"session\": \"%s\", \"step\": %d, \"instances\": [[[%g, 1]]]}", session, n, value);
    return http_post(server, "/predict", body);
}

static void good_step(const struct daemon *server, const char *session, int n, double value)
{
    struct reply reply = step(server, session, n, value);
    if (reply.status != 200 || json_integer_value(json_object_get(reply.json, "step")) != n + 1)
        fail_msg("%s, step %d: %ld %.300s", session, n, reply.status, reply.body ? reply.body : "");
    reply_free(&reply);
}

/* Send a step until it is applied; returns the milliseconds that took. */
static double insist(const struct daemon *server, const char *session, int n, double value)
{
    double began = now_ms();
    for (;;) {
        struct reply reply = step(server, session, n, value);
        long status = reply.status;
        reply_free(&reply);
        if (status == 200)
            return now_ms() - began;
        assert_int_equal(status, 503);
        if (now_ms() - began > 20000)
            fail_msg("%s, step %d: no answer for 20 s", session, n);
        sleep_ms(10);
    }
}

static void assert_no_state(const struct daemon *server)
{
    struct reply reply = http_post(server, "/predict", "{\"instances\": [[[1, 2]]]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
}

/* The states after steps 0 to n - 1 with their number as value, whatever has happened on the way. */
static void assert_undisturbed(const struct daemon *server, const char *session, int n)
{
    char name[80], path[100], other[100];
    snprintf(name, sizeof name, "%s-undisturbed", session);
    for (int i = 0; i < n; i++)
        good_step(server, name, i, i);
    snprintf(path, sizeof path, "/sessions/%s", session);
    snprintf(other, sizeof other, "/sessions/%s", name);
    struct reply a = http_get(server, path), b = http_get(server, other);
    assert_int_equal(a.status, 200);
    assert_int_equal(json_integer_value(json_object_get(a.json, "step")), n);
    assert_string_equal(strstr(a.body, "\"states\""), strstr(b.body, "\"states\""));
    reply_free(&a);
    reply_free(&b);
}

static void any_replica_answers(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon replicas[2];
    redis_start(&redis);
    replica_start(&replicas[0], redis.port);
    replica_start(&replicas[1], redis.port);
    unsigned random = 7;
    for (int n = 0; n < 100; n++) {
        random = random * 1664525u + 1013904223u;
        good_step(&replicas[random >> 31], "a", n, n);
        if (random >> 30 & 1) /* repeated, at either */
            good_step(&replicas[random >> 29 & 1], "a", n, n);
    }
    assert_undisturbed(&replicas[0], "a", 100);
    struct reply reply = step(&replicas[0], "a", 50, 1);
    assert_error(&reply, 409, "step_conflict", "/step");
    reply_free(&reply);
    /* gone at one, gone at the other, whose copy does not know */
    reply = http_request(&replicas[1], "DELETE", "/sessions/a", NULL, NULL);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    reply = step(&replicas[0], "a", 100, 1);
    assert_error(&reply, 409, "step_conflict", "/step");
    reply_free(&reply);
    good_step(&replicas[0], "a", 0, 0);
    assert_int_equal(daemon_stop(&replicas[0], SIGINT), 0);
    assert_int_equal(daemon_stop(&replicas[1], SIGINT), 0);
    redis_stop(&redis);
}

enum { SAME_STEPS = SANITIZED ? 30 : 150 };

static void *send_all_steps(void *argument)
{
    for (int n = 0; n < SAME_STEPS; n++) {
        struct reply reply = step(argument, "shared", n, n);
        assert_true(reply.status == 200 || reply.status == 409); /* 409: the others are ahead */
        reply_free(&reply);
    }
    return NULL;
}

static void steps_at_two_replicas_are_applied_once_each(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon replicas[2];
    pthread_t threads[6];
    redis_start(&redis);
    replica_start(&replicas[0], redis.port);
    replica_start(&replicas[1], redis.port);
    for (size_t i = 0; i < 6; i++)
        pthread_create(&threads[i], NULL, send_all_steps, &replicas[i % 2]);
    for (size_t i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_undisturbed(&replicas[1], "shared", SAME_STEPS);
    assert_int_equal(daemon_stop(&replicas[0], SIGINT), 0);
    assert_int_equal(daemon_stop(&replicas[1], SIGINT), 0);
    redis_stop(&redis);
}

/* Killed and started again, frozen, without its scripts. */
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
    assert_non_null(strstr(reply.body, "[-]sessions redis: "));
    reply_free(&reply);
    redis_run(&redis);
    assert_true(insist(&server, "a", 10, 10) < 2000);
    redis_kill(&redis); /* and back before anybody asks: nobody need know */
    redis_run(&redis);
    good_step(&server, "idle", 0, 0);
    kill(redis.pid, SIGSTOP);
    for (int i = 0; i < 5; i++) {
        double began = now_ms();
        reply = step(&server, "a", 11, 11);
        assert_error(&reply, 503, "session_store_unavailable", "/session");
        reply_free(&reply);
        assert_true(now_ms() - began < (SANITIZED ? 2000 : 500));
        assert_no_state(&server);
        sleep_ms(200);
    }
    kill(redis.pid, SIGCONT);
    assert_true(insist(&server, "a", 11, 11) < 2000);
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
    struct reply reply = step(&server, "a", 1, 1);
    assert_error(&reply, 429, "too_many_sessions", "/session");
    reply_free(&reply);
    assert_no_state(&server);
    command(&redis, "CONFIG SET maxmemory %s", "0", NULL);
    good_step(&server, "a", 1, 1);
    assert_undisturbed(&server, "a", 2);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

static void assert_session(const struct daemon *server, const char *method, const char *id, const char *body,
                           long status, const char *code)
{
    char path[80];
    snprintf(path, sizeof path, "/sessions/%s", id);
    struct reply reply = http_request(server, method, path, body, NULL);
    if (code)
        assert_error(&reply, status, code, status == 404 ? NULL : "/session");
    else if (reply.status != status)
        fail_msg("%s %s: %ld %s", method, path, reply.status, reply.body);
    reply_free(&reply);
}

/* What stands in Redis under a session's key is not believed; that is this session's trouble alone, and can be mended. */
static void foreign_bytes_are_no_state(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "SET cellserve:session:a garbage",       "SET cellserve:session:a cellses2-and-so-on",
        "LPUSH cellserve:session:a 1",           "APPEND cellserve:session:a x",
        "SETRANGE cellserve:session:a 200 xxxx", "COPY cellserve:session:b cellserve:session:a"};
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    replica_start(&server, redis.port);
    redisContext *context = redis_connect(&redis);
    freeReplyObject(redisCommand(context, "SELECT 1"));
    good_step(&server, "b", 0, 0);
    for (int i = 0; i < 24; i++) {
        size_t damage = (size_t)i / 4;
        const char *code = damage == 1 ? "state_incompatible" : "session_damaged";
        assert_session(&server, "PUT", "a", "{\"model\": \"m\", \"states\": [[[[0, 0, 0, 0]], [[0, 0, 0, 0]]]]}", 200,
                       NULL);
        if (damage < 3 || damage > 4) /* the others change what is there */
            freeReplyObject(redisCommand(context, "DEL cellserve:session:a"));
        freeReplyObject(redisCommand(context, damages[damage]));
        assert_session(&server, "GET", "a", NULL, 409, code);
        struct reply reply = step(&server, "a", 0, 0);
        assert_error(&reply, 409, code, "/session");
        assert_true(damage != 1 || strstr(reply.body, "cellses2"));
        reply_free(&reply);
        good_step(&server, "b", i + 1, 0);
        if (i % 4 == 0) {
            reply = http_post(&server, "/predict", "{\"session\": \"a\", \"reset\": true, \"instances\": [[[0, 1]]]}");
            assert_int_equal(reply.status, 200);
            assert_int_equal(json_integer_value(json_object_get(reply.json, "step")), 1);
            reply_free(&reply);
        } else if (i % 4 == 1) {
            assert_session(&server, "DELETE", "a", NULL, 200, NULL);
            assert_session(&server, "GET", "a", NULL, 404, "session_not_found");
        } /* and by the next round's PUT */
    }
    assert_true(metric(&server, "cellserve_session_store_errors_total{kind=\"protocol\"}") == 0);
    assert_true(metric(&server, "cellserve_session_store_damaged_total") >= 48);
    redisFree(context);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

/* Redis answers, but not what it should: down, in health and metrics too, and said once in Redis's own words. */
static void a_read_only_redis_is_down(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    replica_start(&server, redis.port);
    good_step(&server, "a", 0, 0);
    command(&redis, "REPLICAOF 127.0.0.1 1", NULL, NULL);
    for (int i = 0; i < 3; i++) {
        struct reply reply = step(&server, "a", 1, 1);
        assert_error(&reply, 503, "session_store_unavailable", "/session");
        reply_free(&reply);
        reply = http_get(&server, "/healthz?verbose");
        assert_non_null(strstr(reply.body, "[-]sessions redis: readonly\n"));
        reply_free(&reply);
        assert_true(metric(&server, "cellserve_session_store_up") == 0);
        sleep_ms(150);
    }
    assert_true(metric(&server, "cellserve_session_store_errors_total{kind=\"readonly\"}") >= 2);
    command(&redis, "REPLICAOF NO ONE", NULL, NULL);
    assert_true(insist(&server, "a", 1, 1) < 2000);
    assert_true(metric(&server, "cellserve_session_store_up") == 1);
    char *log = daemon_log(&server), *said = strstr(log, "READONLY You can't write against a read only replica");
    assert_non_null(said);
    assert_null(strstr(said + 1, "READONLY"));
    assert_non_null(strstr(said, "redis is there"));
    free(log);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

/* A start and an end in one: nothing is stored, nothing was. */
static void a_sequence_of_one_request_leaves_nothing(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    replica_start(&server, redis.port);
    struct reply reply = http_post(&server, "/v2/models/m/infer",
                                   "{\"parameters\": {\"sequence_id\": 5, \"sequence_start\": true, \"sequence_end\": "
                                   "true}, \"inputs\": [{\"name\": \"inputs\", \"shape\": [1, 1, 2], \"datatype\": "
                                   "\"FP32\", \"data\": [1, 2]}]}");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    assert_session(&server, "GET", "m:5", NULL, 404, "session_not_found");
    assert_true(metric(&server, "cellserve_session_store_errors_total{kind=\"protocol\"}") == 0);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

/* A peer that greets as Redis does and then sends what it likes. */
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

static void garbage_is_no_answer(void **state)
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

static void a_password_and_a_socket_will_do(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon server;
    char store[200];
    redis_start(&redis);
    command(&redis, "CONFIG SET requirepass %s", "s3cret@", NULL);
    const char *const passwords[] = {"s3cret%40", "s3cret%40", "wrong"};
    for (int i = 0; i < 3; i++) {
        if (i == 1)
            snprintf(store, sizeof store, "redis+unix://:%s@%s/redis.sock", passwords[i], redis.folder);
        else
            snprintf(store, sizeof store, "redis://:%s@127.0.0.1:%d", passwords[i], redis.port);
        daemon_start(&server, small_config(2, 4, ""), (const char *const[]){"--sessions-store", store, NULL});
        struct reply reply = step(&server, "a", i, 0);
        assert_int_equal(reply.status, i == 2 ? 503 : 200);
        reply_free(&reply);
        char *log = daemon_log(&server);
        assert_null(strstr(log, passwords[i]));
        free(log);
        assert_int_equal(daemon_stop(&server, SIGINT), 0);
    }
    redis_stop(&redis);
}

int main(void)
{
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {cmocka_unit_test(any_replica_answers),
                                       cmocka_unit_test(steps_at_two_replicas_are_applied_once_each),
                                       cmocka_unit_test(redis_goes_and_comes_back),
                                       cmocka_unit_test(a_full_redis_changes_nothing),
                                       cmocka_unit_test(foreign_bytes_are_no_state),
                                       cmocka_unit_test(a_read_only_redis_is_down),
                                       cmocka_unit_test(a_sequence_of_one_request_leaves_nothing),
                                       cmocka_unit_test(garbage_is_no_answer),
                                       cmocka_unit_test(a_password_and_a_socket_will_do)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
