/* Sessions in a Redis that wants TLS and a user, and in one that Sentinels watch. */
#include "certificate.h"
#include "redis.h"

#include <fcntl.h>
#include <netdb.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t run(char *const *argv)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    end_with_the_test();
    int log = open("/dev/null", O_WRONLY);
    dup2(log, 1);
    dup2(log, 2);
    execvp(argv[0], argv);
    _exit(127);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

static void start(struct daemon *server, const char *store)
{
    char more[640];
    snprintf(more, sizeof more, ", \"sessions\": {\"store\": \"%s\"}", store);
    daemon_start(server, small_config(2, 3, more), NULL);
}

/* Step n of a session until it is applied, for some seconds; the milliseconds that it took. */
static double step_at_last(const struct daemon *server, const char *session, int n)
{
    double begin = now_ms();
    for (long status = 0; status != 200; sleep_ms(5)) {
        struct reply reply = step(server, session, n, n);
        status = reply.status;
        if (now_ms() > begin + 20000 || (status != 200 && status != 503))
            fail_msg("step %d: %ld %s", n, status, reply.body ? reply.body : "");
        reply_free(&reply);
    }
    return now_ms() - begin;
}

static void steps_go_over_tls_as_a_user(void **state)
{
    (void)state;
    struct certificate authority = certificate_new("authority", NULL), other = certificate_new("other", NULL);
    struct certificate own = certificate_new("localhost", &authority), client = certificate_new("client", &authority);
    struct redis redis;
    char port[8], url[512], users[100];
    redis_start(&redis); /* for its port, its folder and its end */
    redis_kill(&redis);
    snprintf(port, sizeof port, "%d", redis.port);
    char *const argv[] = {"redis-server",
                          "--tls-port",
                          port,
                          "--port",
                          "0",
                          "--bind",
                          "127.0.0.1",
                          "--save",
                          "",
                          "--dir",
                          redis.folder,
                          "--tls-cert-file",
                          own.certificate,
                          "--tls-key-file",
                          own.key,
                          "--tls-ca-cert-file",
                          authority.certificate,
                          "--tls-auth-clients",
                          "yes",
                          "--aclfile",
                          users,
                          NULL};
    snprintf(users, sizeof users, "%s/users.acl", redis.folder);
    FILE *file = fopen(users, "w");
    assert_non_null(file);
    fputs("user default off\nuser app on >pass ~cellserve:* +@all\n", file);
    fclose(file);
    redis.pid = run(argv);
    const struct {
        const char *user, *host, *ca;
        bool good;
    } rows[] = {
        {"app:pass@", "127.0.0.1", authority.certificate, true},
        {"app:pass@", "localhost", authority.certificate, true},
        {"app:pass@", "127.0.0.2", authority.certificate, false}, /* nobody is there; nor has the certificate it */
        {"app:pass@", "127.0.0.1", other.certificate, false},
        {"app:wrong@", "127.0.0.1", authority.certificate, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct daemon server;
        struct addrinfo *found = NULL;
        if (getaddrinfo(rows[i].host, NULL, NULL, &found))
            continue; /* a root without /etc/hosts */
        freeaddrinfo(found);
        snprintf(url, sizeof url, "rediss://%s%s:%s/0?ssl_ca_certs=%s&ssl_certfile=%s&ssl_keyfile=%s", rows[i].user,
                 rows[i].host, port, rows[i].ca, client.certificate, client.key);
        start(&server, url);
        if (rows[i].good) {
            char session[8];
            snprintf(session, sizeof session, "s%zu", i);
            step_at_last(&server, session, 0);
            for (int n = 1; n < 20; n++)
                good_step(&server, session, n, n);
            assert_undisturbed(&server, session, 20);
        } else {
            struct reply reply = step(&server, "t", 0, 0);
            assert_error(&reply, 503, "session_store_unavailable", "/session");
            reply_free(&reply);
        }
        char *log = daemon_log(&server);
        assert_null(strstr(log, "app:")); /* the URL, with its password */
        if (i == 3)
            assert_non_null(strstr(log, "certificate"));
        free(log);
        daemon_stop(&server, SIGINT);
    }
    redis_stop(&redis);
    certificate_remove(&authority);
    certificate_remove(&other);
    certificate_remove(&own);
    certificate_remove(&client);
}

static pid_t run_sentinel(const struct redis *primary, int port, char *path, size_t size)
{
    char *const argv[] = {"redis-server", path, "--sentinel", NULL};
    snprintf(path, size, "%s/sentinel.conf", primary->folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor main 127.0.0.1 %d 1\n"
            "sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 3000\n",
            port, primary->folder, primary->port);
    fclose(file);
    return run(argv);
}

static void a_new_primary_goes_on(void **state)
{
    (void)state;
    struct redis primary, replica, sentinel;
    struct daemon server;
    char url[128], path[128], port[8];
    redis_start(&primary);
    redis_start(&replica);
    redis_start(&sentinel); /* for a free port */
    redis_kill(&sentinel);
    snprintf(port, sizeof port, "%d", primary.port);
    assert_int_not_equal(command(&replica, "REPLICAOF %s %s", "127.0.0.1", port), -1);
    pid_t watcher = run_sentinel(&primary, sentinel.port, path, sizeof path);
    redisFree(redis_connect(&sentinel));
    /* the first of the Sentinels is not there */
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:1,127.0.0.1:%d/main", sentinel.port);
    start(&server, url);
    step_at_last(&server, "s", 0);
    for (int n = 1; n < 10; n++)
        good_step(&server, "s", n, n);
    for (double until = now_ms() + 20000; command(&primary, "WAIT 1 1000", "", "") < 1 && now_ms() < until;)
        sleep_ms(20);
    redis_kill(&primary);
    /* when the replica takes writes, it is the new primary */
    for (double until = now_ms() + 30000; now_ms() < until; sleep_ms(10)) {
        redisContext *context = redis_connect(&replica);
        redisReply *role = redisCommand(context, "ROLE");
        bool is = role && role->type == REDIS_REPLY_ARRAY && !strcmp(role->element[0]->str, "master");
        freeReplyObject(role);
        redisFree(context);
        if (is)
            break;
    }
    double ms = step_at_last(&server, "s", 10);
    if (ms > (SANITIZED ? 10000 : 2000))
        fail_msg("the first step took %.0f ms after the new primary was there", ms);
    for (int n = 11; n < 20; n++)
        good_step(&server, "s", n, n);
    assert_undisturbed(&server, "s", 20);
    daemon_stop(&server, SIGINT);
    end(watcher);
    redis_run(&primary);
    redis_stop(&primary);
    redis_stop(&replica);
    redis_run(&sentinel);
    redis_stop(&sentinel);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_go_over_tls_as_a_user),
                                       cmocka_unit_test(a_new_primary_goes_on)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
