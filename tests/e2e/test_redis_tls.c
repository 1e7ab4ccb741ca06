/* Sessions in a Redis that needs TLS and a user, and in a Redis with Sentinels. */
#include "certificate.h"
#include "redis.h"

#include <fcntl.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
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

/* Send step n of a session until it is applied, for at most 20 s; returns the milliseconds. */
static double step_at_last(const struct daemon *server, const char *session, int n)
{
    double begin = now_ms();
    for (long status = 0; status != 200; sleep_ms(5)) {
        struct reply reply = step(server, session, n, n);
        status = reply.status;
        if (now_ms() > begin + 60000 || (status != 200 && status != 503))
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
    redis_start(&redis); /* for its port and its folder */
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
        {"app:pass@", "127.0.0.2", authority.certificate, false}, /* nothing listens there, and the certificate lacks
                                                                     this address */
        {"app:pass@", "127.0.0.1", other.certificate, false},
        {"app:wrong@", "127.0.0.1", authority.certificate, false}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct daemon server;
        struct addrinfo *found = NULL;
        if (getaddrinfo(rows[i].host, NULL, NULL, &found))
            continue; /* a root file system without /etc/hosts */
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
        char *log = i == 3 ? daemon_log_with(&server, "certificate") : daemon_log(&server);
        assert_null(strstr(log, "app:")); /* the URL, with its password */
        free(log);
        daemon_stop(&server, SIGINT);
    }
    redis_stop(&redis);
    certificate_remove(&authority);
    certificate_remove(&other);
    certificate_remove(&own);
    certificate_remove(&client);
}

/* ---- Sentinels ---- */

enum { SENTINELS = 3, WALKERS = 4, SESSIONS_OF_A_WALKER = 4 };

struct sentinel {
    struct redis place; /* port and folder of the Sentinel */
    pid_t pid;
};

static void start_sentinel(struct sentinel *sentinel, const struct redis *primary)
{
    char path[128];
    char *const argv[] = {"redis-server", path, "--sentinel", NULL};
    redis_start(&sentinel->place); /* for a free port */
    redis_kill(&sentinel->place);
    snprintf(path, sizeof path, "%s/sentinel.conf", sentinel->place.folder);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fprintf(file,
            "port %d\nbind 127.0.0.1\ndir %s\nsentinel monitor main 127.0.0.1 %d %d\n"
            "sentinel down-after-milliseconds main 2000\nsentinel failover-timeout main 3000\n",
            sentinel->place.port, sentinel->place.folder, primary->port, SENTINELS / 2 + 1);
    fclose(file);
    sentinel->pid = run(argv);
    redisFree(redis_connect(&sentinel->place));
}

static void stop_sentinel(struct sentinel *sentinel)
{
    char line[128];
    end(sentinel->pid);
    snprintf(line, sizeof line, "rm -rf %s", sentinel->place.folder);
    assert_int_equal(system(line), 0);
}

/* Wait until Redis answers the command with a text that begins with `line`. */
static void await_answer(const struct redis *redis, const char *ask, const char *line)
{
    bool is = false;
    for (double until = now_ms() + 60000; !is && now_ms() < until; sleep_ms(10)) {
        redisContext *context = redis_connect(redis);
        redisReply *reply = redisCommand(context, ask);
        const redisReply *first = reply;
        while (first && first->type == REDIS_REPLY_ARRAY)
            first = first->elements ? *first->element : NULL;
        is = first && first->str && !strncmp(first->str, line, strlen(line));
        freeReplyObject(reply);
        redisFree(context);
    }
    if (!is)
        fail_msg("%s does not become %s", ask, line);
}

/* Wait until a Sentinel names this Redis as the primary; Sentinels ask Redis once a second. */
static void await_named(const struct sentinel sentinels[], const struct redis *redis)
{
    for (double until = now_ms() + 60000; now_ms() < until; sleep_ms(5))
        for (int i = 0; i < SENTINELS; i++) {
            redisContext *context = redis_connect(&sentinels[i].place);
            redisReply *reply = redisCommand(context, "SENTINEL GET-MASTER-ADDR-BY-NAME main");
            bool is = reply && reply->elements == 2 && atoi(reply->element[1]->str) == redis->port;
            freeReplyObject(reply);
            redisFree(context);
            if (is)
                return;
        }
    fail_msg("no Sentinel names the new primary");
}

/* A client that steps its sessions in turn, and repeats each step until it is applied. */
struct walker {
    const struct daemon *server;
    int index;
    atomic_int rounds; /* number of steps of each of its sessions */
    atomic_bool stop;
    long bad; /* a status other than 200 and 503 */
    pthread_t thread;
};

static void *walk(void *argument)
{
    struct walker *walker = argument;
    while (!walker->stop && !walker->bad) {
        for (int i = 0; i < SESSIONS_OF_A_WALKER; i++) {
            char session[32];
            snprintf(session, sizeof session, "w%d-%d", walker->index, i);
            for (long status = 503; status == 503; sleep_ms(status == 503 ? 5 : 0)) {
                struct reply reply = step(walker->server, session, walker->rounds, walker->rounds);
                status = reply.status;
                if (status != 200 && status != 503)
                    walker->bad = status ? status : -1;
                reply_free(&reply);
            }
        }
        walker->rounds++;
    }
    return NULL;
}

/* Wait until every walker has stepped all of its sessions once; returns the milliseconds. */
static double await_rounds(const struct walker walkers[])
{
    double began = now_ms();
    int before[WALKERS];
    for (int i = 0; i < WALKERS; i++)
        before[i] = walkers[i].rounds;
    for (int i = 0; i < WALKERS; i++)
        while (walkers[i].rounds < before[i] + 2 && now_ms() < began + 60000)
            sleep_ms(2);
    return now_ms() - began;
}

/* Clients step sixteen sessions all the time. No acknowledged step is lost, otherwise the next step would be
   refused. */
static void a_new_primary_goes_on_under_load(void **state)
{
    (void)state;
    struct redis primary, replica;
    struct sentinel sentinels[SENTINELS];
    struct walker walkers[WALKERS] = {{.index = 0}};
    struct daemon server;
    char url[160], port[8];
    redis_start(&primary);
    redis_start(&replica);
    snprintf(port, sizeof port, "%d", primary.port);
    assert_int_not_equal(command(&replica, "REPLICAOF %s %s", "127.0.0.1", port), -1);
    for (double until = now_ms() + 20000; command(&primary, "WAIT 1 1000", "", "") < 1 && now_ms() < until;)
        sleep_ms(20);
    for (int i = 0; i < SENTINELS; i++)
        start_sentinel(&sentinels[i], &primary);
    for (int i = 0; i < SENTINELS; i++) { /* wait until the Sentinels have found each other and the replica */
        await_answer(&sentinels[i].place, "SENTINEL CKQUORUM main", "OK 3 usable");
        await_answer(&sentinels[i].place, "SENTINEL REPLICAS main", "name");
    }
    /* the first address has no Sentinel */
    snprintf(url, sizeof url, "redis+sentinel://127.0.0.1:1,127.0.0.1:%d,127.0.0.1:%d,127.0.0.1:%d/main",
             sentinels[0].place.port, sentinels[1].place.port, sentinels[2].place.port);
    start(&server, url);
    for (int i = 0; i < WALKERS; i++) {
        walkers[i].server = &server;
        walkers[i].index = i;
        pthread_create(&walkers[i].thread, NULL, walk, &walkers[i]);
    }
    await_rounds(walkers);
    redis_kill(&primary);
    await_answer(&replica, "ROLE", "master");
    await_named(sentinels, &replica);
    double ms = await_rounds(walkers);
    for (int i = 0; i < WALKERS; i++) {
        walkers[i].stop = true;
        pthread_join(walkers[i].thread, NULL);
        if (walkers[i].bad)
            fail_msg("step %d of walker %d: %ld", (int)walkers[i].rounds, i, walkers[i].bad);
    }
    if (getenv("CELLSERVE_TEST_TIMES"))
        printf("all sessions stepped %.0f ms after the new primary was there\n", ms);
    if (ms > 30000) /* some seconds are the load of the machine; a server that asks no Sentinel again never gets on */
        fail_msg("the sessions took %.0f ms after the new primary was there", ms);
    for (int i = 0; i < WALKERS; i++)
        for (int k = 0; k < SESSIONS_OF_A_WALKER; k++) {
            char session[32];
            snprintf(session, sizeof session, "w%d-%d", i, k);
            assert_undisturbed(&server, session, walkers[i].rounds);
        }
    daemon_stop(&server, SIGINT);
    for (int i = 0; i < SENTINELS; i++)
        stop_sentinel(&sentinels[i]);
    redis_run(&primary);
    redis_stop(&primary);
    redis_stop(&replica);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(steps_go_over_tls_as_a_user),
                                       cmocka_unit_test(a_new_primary_goes_on_under_load)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
