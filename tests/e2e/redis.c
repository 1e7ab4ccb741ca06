/* A Redis process of the test, servers with their sessions in it, and steps of these sessions. */
#include "redis.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { PATIENCE_MS = 60000 };

/* A port that nobody listens on, below those that the kernel gives to connections: no connection takes it while the Redis
   is stopped. */
static int free_port(void)
{
    enum { FIRST = 12000, COUNT = 20000 };
    static unsigned next;
    if (!next)
        next = (unsigned)getpid() * 61;
    for (int i = 0; i < COUNT; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int port = FIRST + (int)(next++ % COUNT), fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        address.sin_port = htons((uint16_t)port);
        bool is_free = !bind(fd, (struct sockaddr *)&address, sizeof address);
        close(fd);
        if (is_free)
            return port;
    }
    fail_msg("no port is free");
    return 0;
}

/* NULL: it does not answer. */
static redisContext *try_connect(const struct redis *redis, const char *socket_path)
{
    const struct timeval timeout = {.tv_sec = PATIENCE_MS / 1000};
    redisContext *context = socket_path ? redisConnectUnixWithTimeout(socket_path, timeout)
                                        : redisConnectWithTimeout("127.0.0.1", redis->port, timeout);
    if (context && !context->err)
        redisSetTimeout(context, timeout);
    redisReply *reply = context && !context->err ? redisCommand(context, "PING") : NULL;
    bool there = reply && reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    if (there)
        return context;
    redisFree(context);
    return NULL;
}

redisContext *redis_connect(const struct redis *redis)
{
    for (double end = now_ms() + PATIENCE_MS; now_ms() < end; sleep_ms(10)) {
        redisContext *context = try_connect(redis, NULL);
        if (context)
            return context;
    }
    fail_msg("redis-server does not start");
    return NULL;
}

/* False: it ended, as it does when another process has taken its port. Its own socket tells it from the other. */
static bool try_run(struct redis *redis)
{
    char port[8], socket_path[100];
    snprintf(port, sizeof port, "%d", redis->port);
    snprintf(socket_path, sizeof socket_path, "%s/redis.sock", redis->folder);
    unlink(socket_path);
    redis->pid = fork();
    if (!redis->pid) {
        end_with_the_test();
        int log = open("/dev/null", O_WRONLY);
        dup2(log, 1);
        dup2(log, 2);
        /* no fsync: a written file survives a kill of the process, and a busy disk may take longer than steps wait for
           Redis */
        execlp("redis-server", "redis-server", "--port", port, "--bind", "127.0.0.1", "--unixsocket", socket_path,
               "--save", "", "--appendonly", "yes", "--appendfsync", "no", "--dir", redis->folder, (char *)NULL);
        _exit(127);
    }
    for (double end = now_ms() + PATIENCE_MS; now_ms() < end; sleep_ms(10)) {
        redisContext *context = try_connect(redis, socket_path);
        if (context) {
            redisFree(context);
            return true;
        }
        if (waitpid(redis->pid, NULL, WNOHANG) == redis->pid)
            return false;
    }
    fail_msg("redis-server does not answer");
    return false;
}

void redis_run(struct redis *redis)
{
    assert_true(try_run(redis));
}

void redis_start(struct redis *redis)
{
    strcpy(redis->folder, "/tmp/cellserve-test-redis-XXXXXX");
    assert_non_null(mkdtemp(redis->folder));
    for (int i = 0; i < 20; i++) {
        redis->port = free_port();
        if (try_run(redis))
            return;
    }
    fail_msg("redis-server does not start");
}

void redis_kill(struct redis *redis)
{
    kill(redis->pid, SIGKILL);
    waitpid(redis->pid, NULL, 0);
}

void redis_stop(struct redis *redis)
{
    char command[128];
    redis_kill(redis);
    snprintf(command, sizeof command, "rm -rf %s", redis->folder);
    assert_int_equal(system(command), 0);
}

long command(const struct redis *redis, const char *format, const char *a, const char *b)
{
    redisContext *context = redis_connect(redis);
    redisReply *reply = redisCommand(context, format, a, b);
    long value = reply && reply->type != REDIS_REPLY_ERROR ? reply->integer : -1;
    freeReplyObject(reply);
    redisFree(context);
    return value;
}

void replica_start(struct daemon *server, int port)
{
    char store[64];
    snprintf(store, sizeof store, "redis://127.0.0.1:%d/1", port);
    daemon_start(server, small_config(2, 4, ""), (const char *const[]){"--sessions-store", store, NULL});
}

struct reply step(const struct daemon *server, const char *session, int n, double value)
{
    char body[200];
    snprintf(body, sizeof body, "{\"session\": \"%s\", \"step\": %d, \"instances\": [[[%g, 1]]]}", session, n, value);
    return http_post(server, "/predict", body);
}

struct reply ask_patiently(const struct daemon *server, const char *method, const char *path, const char *body)
{
    for (double end = now_ms() + PATIENCE_MS;; sleep_ms(10)) {
        struct reply reply = http_request(server, method, path, body, NULL);
        const char *code = json_string_value(json_object_get(reply.json, "code"));
        if (!code || strcmp(code, "session_store_unavailable") || now_ms() > end)
            return reply;
        reply_free(&reply);
    }
}

void start_with_redis(struct daemon *server, const struct redis *redis, const char *models)
{
    char *config = malloc(strlen(models) + 100);
    sprintf(config, "{\"sessions\": {\"store\": \"redis://127.0.0.1:%d/0\"}, %s}", redis->port, models);
    daemon_start(server, config, NULL);
    free(config);
}

struct reply patient_step(const struct daemon *server, const char *session, int n, double value)
{
    char body[200];
    snprintf(body, sizeof body, "{\"session\": \"%s\", \"step\": %d, \"instances\": [[[%g, 1]]]}", session, n, value);
    return ask_patiently(server, "POST", "/predict", body);
}

void good_step(const struct daemon *server, const char *session, int n, double value)
{
    struct reply reply = patient_step(server, session, n, value);
    if (reply.status != 200 || json_integer_value(json_object_get(reply.json, "step")) != n + 1)
        fail_msg("%s, step %d: %ld %.300s", session, n, reply.status, reply.body ? reply.body : "");
    reply_free(&reply);
}

void assert_undisturbed(const struct daemon *server, const char *session, int n)
{
    char name[80], path[100], other[100];
    snprintf(name, sizeof name, "%s-undisturbed", session);
    for (int i = 0; i < n; i++)
        good_step(server, name, i, i);
    snprintf(path, sizeof path, "/sessions/%s", session);
    snprintf(other, sizeof other, "/sessions/%s", name);
    struct reply a = ask_patiently(server, "GET", path, NULL), b = ask_patiently(server, "GET", other, NULL);
    assert_int_equal(a.status, 200);
    assert_int_equal(json_integer_value(json_object_get(a.json, "step")), n);
    assert_string_equal(strstr(a.body, "\"states\""), strstr(b.body, "\"states\""));
    reply_free(&a);
    reply_free(&b);
}

void assert_session(const struct daemon *server, const char *method, const char *id, const char *body, long status,
                    const char *code)
{
    char path[80];
    snprintf(path, sizeof path, "/sessions/%s", id);
    struct reply reply = ask_patiently(server, method, path, body);
    if (code)
        assert_error(&reply, status, code, status == 404 ? NULL : "/session");
    else if (reply.status != status)
        fail_msg("%s %s: %ld %s", method, path, reply.status, reply.body);
    reply_free(&reply);
}
