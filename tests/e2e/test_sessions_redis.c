/* Sessions in Redis: any replica answers, and every step is applied once. */
#include "e2e.h"
#include "redis.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

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
        if (random >> 30 & 1) /* repeated at either replica */
            good_step(&replicas[random >> 29 & 1], "a", n, n);
    }
    assert_undisturbed(&replicas[0], "a", 100);
    struct reply reply = patient_step(&replicas[0], "a", 50, 1);
    assert_error(&reply, 409, "step_conflict", "/step");
    reply_free(&reply);
    /* gone at one, gone at the other, whose copy does not know */
    reply = ask_patiently(&replicas[1], "DELETE", "/sessions/a", NULL);
    assert_true(reply.status == 200 || reply.status == 404); /* 404: the one before it was applied after all */
    reply_free(&reply);
    reply = patient_step(&replicas[0], "a", 100, 1);
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
    size_t wrong = 0;
    for (int n = 0; n < SAME_STEPS; n++) {
        struct reply reply = patient_step(argument, "shared", n, n);
        wrong += reply.status != 200 && reply.status != 409; /* 409: the others are ahead */
        reply_free(&reply);
    }
    return (void *)wrong;
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
    for (size_t i = 0; i < 6; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
    assert_undisturbed(&replicas[1], "shared", SAME_STEPS);
    assert_int_equal(daemon_stop(&replicas[0], SIGINT), 0);
    assert_int_equal(daemon_stop(&replicas[1], SIGINT), 0);
    redis_stop(&redis);
}

/* A request that starts and ends its sequence stores no session. */
static void a_sequence_of_one_request_leaves_nothing(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    replica_start(&server, redis.port);
    struct reply reply =
        ask_patiently(&server, "POST", "/v2/models/m/infer",
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

/* Run a command for the record of session a in database 1; returns its integer. */
static long about_record(redisContext *context, const char *command_and_key)
{
    redisReply *reply = redisCommand(context, command_and_key);
    assert_true(reply && reply->type == REDIS_REPLY_INTEGER);
    long value = reply->integer;
    freeReplyObject(reply);
    return value;
}

/* How often the server did not have an answer in time. */
static double overdue(const struct daemon *server)
{
    return metric(server, "cellserve_session_store_errors_total{kind=\"timeout\"}");
}

/* The time that Redis keeps a session begins anew when its last step is repeated, at any replica; its states stay. */
static void repeat_steps(bool with_key)
{
    struct redis redis;
    struct daemon replicas[2];
    char keys[64], expire[80], left_of[80];
    if (with_key) { /* a file with the digest of the key */
        snprintf(keys, sizeof keys, "/tmp/cellserve-test-%d-sessions.keys", (int)getpid());
        FILE *file = fopen(keys, "w");
        assert_non_null(file);
        fputs("suite:predict,sessions,metrics:f8ebd43dbef1f029bf4930c65c9b7c5cc76af476927cee861ff18fcc73bfc4ab\n",
              file);
        fclose(file);
        setenv("CELLSERVE_AUTH_KEYS", keys, 1);
    }
    redis_start(&redis);
    replica_start(&replicas[0], redis.port);
    replica_start(&replicas[1], redis.port);
    for (int i = 0; with_key && i < 2; i++)
        snprintf(replicas[i].key, sizeof replicas[i].key, "suite");
    const char *owner = *replicas[0].key ? "suite:" : "";
    snprintf(expire, sizeof expire, "PEXPIRE cellserve:session:%sa 60000", owner);
    snprintf(left_of, sizeof left_of, "PTTL cellserve:session:%sa", owner);
    redisContext *context = redis_connect(&redis);
    freeReplyObject(redisCommand(context, "SELECT 1"));
    good_step(&replicas[0], "a", 0, 0);
    good_step(&replicas[0], "a", 1, 1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(about_record(context, expire), 1);
        good_step(&replicas[i], "a", 1, 1);
        long left = about_record(context, left_of);
        if (left < 800000 || left > 900000)
            fail_msg("%ld ms are left of 900 s", left);
    }
    assert_true(metric(&replicas[1], "cellserve_session_store_conflicts_total") == 0 || overdue(&replicas[1]) > 0);
    good_step(&replicas[0], "a", 2, 2); /* goes on from the first replica's copy */
    assert_true(metric(&replicas[0], "cellserve_session_store_conflicts_total") == 0 || overdue(&replicas[0]) > 0);
    assert_undisturbed(&replicas[1], "a", 3);
    redisFree(context);
    assert_int_equal(daemon_stop(&replicas[0], SIGINT), 0);
    assert_int_equal(daemon_stop(&replicas[1], SIGINT), 0);
    redis_stop(&redis);
    if (with_key) {
        unsetenv("CELLSERVE_AUTH_KEYS");
        unlink(keys);
    }
}

static void a_repeated_step_keeps_a_session(void **state)
{
    (void)state;
    repeat_steps(false);
}

static void a_repeated_step_keeps_a_session_of_a_key(void **state)
{
    (void)state;
    plain_alone("all sessions there are of a key");
    repeat_steps(true);
}

/* Whether a file of /proc/PID has a text. */
static bool proc_shows(const struct daemon *server, const char *name, const char *text)
{
    char path[64], bytes[65536];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)server->pid, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t n = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    return memmem(bytes, n, text, strlen(text));
}

static void a_password_and_a_unix_socket_work(void **state)
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
        setenv("CELLSERVE_SESSIONS_STORE", store, 1); /* the flag overrides it */
        daemon_start(&server, small_config(2, 4, ""), (const char *const[]){"--sessions-store", store, NULL});
        struct reply reply = i == 2 ? step(&server, "a", i, 0) : patient_step(&server, "a", i, 0);
        assert_int_equal(reply.status, i == 2 ? 503 : 200);
        reply_free(&reply);
        assert_true(proc_shows(&server, "environ", "***@") && proc_shows(&server, "cmdline", "***@"));
        assert_false(proc_shows(&server, "environ", passwords[i]) || proc_shows(&server, "cmdline", passwords[i]));
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
                                       cmocka_unit_test(a_sequence_of_one_request_leaves_nothing),
                                       cmocka_unit_test(a_repeated_step_keeps_a_session),
                                       cmocka_unit_test(a_repeated_step_keeps_a_session_of_a_key),
                                       cmocka_unit_test(a_password_and_a_unix_socket_work)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
