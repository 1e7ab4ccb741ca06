/* Sessions in memory: a step is applied once, in order, and never to other states. */
#include "e2e.h"
#include "sessions.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

/* ---- steps ---- */

static const char one[] = "\"model\": \"lstm\", \"instances\": [[[1, 0.5]]]";

static struct reply step(const struct daemon *server, const char *more)
{
    char body[512];
    snprintf(body, sizeof body, "{%s, %s}", one, more);
    return http_post(server, "/predict", body);
}

static void assert_step_error(const struct daemon *server, const char *more, long status, const char *code,
                              const char *path)
{
    struct reply reply = step(server, more);
    assert_error(&reply, status, code, path);
    reply_free(&reply);
}

/* Send a step and expect success; returns the answer, which the caller frees. */
static char *good_step(const struct daemon *server, const char *more, int applied)
{
    struct reply reply = step(server, more);
    from_key(&reply, "\"outputs\"");
    assert_int_equal(json_integer_value(json_object_get(reply.json, "step")), applied);
    char *body = strdup(reply.body);
    reply_free(&reply);
    return body;
}

static void a_step_is_applied_once(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    char *first = good_step(&server, "\"session\": \"a\", \"step\": 0", 1);
    char *second = good_step(&server, "\"session\": \"a\", \"step\": 1", 2);
    assert_string_not_equal(first, second);
    char *again = good_step(&server, "\"session\": \"a\", \"step\": 1", 2);
    assert_string_equal(again, second);
    assert_step_error(&server, "\"session\": \"a\", \"step\": 0", 409, "step_conflict", "/step");
    assert_step_error(&server, "\"session\": \"a\", \"step\": 3", 409, "step_conflict", "/step");
    assert_step_error(&server, "\"session\": \"new\", \"step\": 1", 409, "step_conflict", "/step");
    char *third = good_step(&server, "\"session\": \"a\"", 3); /* the step number is optional */
    assert_step_error(&server, "\"session\": \"a\", \"step\": 2", 409, "step_conflict", "/step"); /* without a step
                                                                                                     number, the answer
                                                                                                     is not stored */
    char *fresh = good_step(&server, "\"session\": \"a\", \"reset\": true", 1);
    assert_string_equal(strstr(fresh, "\"outputs\""), strstr(first, "\"outputs\""));
    free(first), free(second), free(again), free(third), free(fresh);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* A repeated step gives the stored answer, also for sequences of several lengths. */
static void the_answer_of_a_step_is_kept(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    static const char body[] =
        "{\"model\": \"zeros\", \"session\": \"k\", \"step\": 0, \"instances\": [[[1, 2], [3, 4], "
        "[5, 6]], [[7, 8]]]}";
    struct reply first = http_post(&server, "/predict", body), again = http_post(&server, "/predict", body);
    assert_int_equal(first.status, 200);
    assert_int_equal(json_array_size(json_array_get(json_object_get(first.json, "outputs"), 0)), 3);
    assert_string_equal(first.body, again.body);
    reply_free(&first);
    reply_free(&again);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void invalid_session_requests_are_refused(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    free(good_step(&server, "\"session\": \"a\"", 1));
    assert_step_error(&server, "\"session\": \"\"", 400, "invalid_session", "/session");
    assert_step_error(&server, "\"session\": \"a b\"", 400, "invalid_session", "/session");
    assert_step_error(&server, "\"session\": \"../a\"", 400, "invalid_session", "/session");
    assert_step_error(&server, "\"session\": 7", 400, "wrong_type", "/session");
    assert_step_error(&server, "\"step\": 0", 400, "missing_key", "/step");
    assert_step_error(&server, "\"reset\": true", 400, "missing_key", "/reset");
    assert_step_error(&server, "\"session\": \"a\", \"step\": -1", 400, "wrong_type", "/step");
    assert_step_error(&server, "\"session\": \"a\", \"reset\": true, \"step\": 2", 400, "wrong_value", "/step");
    assert_step_error(&server, "\"session\": \"a\", \"initial_state\": [[[[0, 0, 0, 0, 0]]]]", 400, "wrong_value",
                      "/initial_state");
    assert_predict_error(&server, "{\"model\": \"lstm\", \"session\": \"a\", \"instances\": [[[1, 2]], [[3, 4]]]}", 400,
                         "wrong_shape", "/instances");
    assert_predict_error(&server, "{\"model\": \"simple\", \"session\": \"a\", \"instances\": [[[1, 2]]]}", 409,
                         "state_incompatible", "/session");
    assert_predict_error(&server, "{\"model\": \"both\", \"session\": \"b\", \"instances\": [[[1, 2]]]}", 400,
                         "not_streamable", "/session");
    free(good_step(&server, "\"session\": \"a\", \"step\": 1", 2)); /* none of these requests has changed the session */
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* If the answer cannot be sent, the session does not change. */
static void a_failed_request_leaves_its_session_unchanged(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, ", \"limits\": {\"max_response_bytes\": 1024}");
    char *body = malloc(8192),
         *at = body + sprintf(body, "{\"model\": \"zeros\", \"session\": \"a\", \"instances\": [[");
    for (int t = 0; t < 60; t++)
        at += sprintf(at, "%s[0.%d,1]", t ? "," : "", t + 1);
    strcpy(at, "]]}");
    assert_predict_error(&server, body, 413, "response_too_large", NULL);
    struct reply reply = http_get(&server, "/sessions/a");
    assert_error(&reply, 404, "session_not_found", NULL);
    reply_free(&reply);
    free(body);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Every client sends every step; each step is applied once. */
enum { SAME_STEPS = SANITIZED ? 30 : 200 };

static void *send_all_steps(void *argument)
{
    const struct daemon *server = argument;
    size_t conflicts = 0;
    for (int n = 0; n < SAME_STEPS;) {
        char more[80];
        snprintf(more, sizeof more, "\"session\": \"shared\", \"step\": %d", n);
        struct reply reply = step(server, more);
        if (reply.status == 200)
            assert_int_equal(json_integer_value(json_object_get(reply.json, "step")), n + 1);
        else
            assert_int_equal(reply.status, 409); /* other clients are ahead */
        conflicts += reply.status != 200;
        n++;
        reply_free(&reply);
    }
    return (void *)conflicts;
}

static void concurrent_steps_are_applied_once_each(void **state)
{
    (void)state;
    struct daemon server;
    pthread_t threads[8];
    start(&server, "");
    for (size_t i = 0; i < 8; i++)
        pthread_create(&threads[i], NULL, send_all_steps, &server);
    for (size_t i = 0; i < 8; i++)
        pthread_join(threads[i], NULL);
    for (int n = 0; n < SAME_STEPS; n++)
        free(good_step(&server, "\"session\": \"alone\"", n + 1));
    struct reply shared = http_get(&server, "/sessions/shared"), alone = http_get(&server, "/sessions/alone");
    assert_int_equal(json_integer_value(json_object_get(shared.json, "step")), SAME_STEPS);
    assert_string_equal(from_key(&shared, "\"states\""), from_key(&alone, "\"states\""));
    reply_free(&shared);
    reply_free(&alone);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- order ---- */

static int send_raw(const struct daemon *server, const char *session, size_t timesteps, double value)
{
    char *body = malloc(256 + timesteps * 24);
    char *at = body + sprintf(body, "{\"model\": \"lstm\", \"session\": \"%s\", \"instances\": [[", session);
    for (size_t t = 0; t < timesteps; t++)
        at += sprintf(at, "%s[%g,%g]", t ? "," : "", value, value);
    strcpy(at, "]]}");
    int fd = raw_post(server, "", body);
    free(body);
    return fd;
}

/* A long request and, while it runs, short ones of the same session and of another. Each has its place when the next is
   sent. */
static void a_session_is_in_the_order_of_arrival(void **state)
{
    (void)state;
    struct daemon server;
    enum { LONG = SANITIZED ? 20000 : 60000, SHORT = 20 };
    int fds[SHORT];
    static char answer[65536];
    start(&server, ", \"admin\": {\"port\": 0}");
    struct daemon admin = admin_of(&server);
    int slow = send_raw(&server, "a", LONG, 1);
    await_running_or_answer(&admin, slow);
    for (int i = 0; i < SHORT; i++) {
        fds[i] = send_raw(&server, "a", 1, i);
        await_turn(&admin, fds[i], slow, i + 1);
    }
    free(good_step(&server, "\"session\": \"b\"", 1));
    for (int i = 0; i < SHORT; i++) {
        char want[32];
        size_t n = raw_read(fds[i], answer, sizeof answer, 60000);
        snprintf(want, sizeof want, "\"step\": %d,", i + 2);
        if (!n || !strstr(answer, want))
            fail_msg("request %d: expected %s, found %.400s", i, want, answer);
        close(fds[i]);
    }
    raw_read(slow, answer, sizeof answer, 60000);
    assert_non_null(strstr(answer, "\"step\": 1,"));
    close(slow);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- the endpoints ---- */

static void sessions_are_shown_set_and_deleted(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    struct reply reply = http_get(&server, "/sessions/a");
    assert_error(&reply, 404, "session_not_found", NULL);
    reply_free(&reply);
    free(good_step(&server, "\"session\": \"a\", \"step\": 0", 1));
    struct reply shown = http_get(&server, "/sessions/a");
    assert_int_equal(shown.status, 200);
    assert_string_equal(json_string_value(json_object_get(shown.json, "model")), "lstm");
    assert_int_equal(json_integer_value(json_object_get(shown.json, "batch_size")), 1);
    reply = http_request(&server, "PUT", "/sessions/b:2", shown.body, NULL); /* without a change */
    assert_int_equal(reply.status, 200);
    assert_string_equal(from_key(&reply, "\"states\""), from_key(&shown, "\"states\""));
    reply_free(&reply);
    char *a = good_step(&server, "\"session\": \"a\", \"step\": 1", 2),
         *b = good_step(&server, "\"session\": \"b:2\", \"step\": 1", 2);
    assert_string_equal(strstr(a, "\"outputs\""), strstr(b, "\"outputs\""));
    free(a), free(b);
    static const char *const bad[][3] = {
        {"{}", "missing_key", ""},
        {"{\"model\": \"lstm\", \"states\": []}", "empty_input", "/states"},
        {"{\"model\": \"lstm\", \"states\": [[[[1, 2]], [[1, 2]]], [[[1, 2, 3, 4]]]]}", "wrong_shape", "/states/0/0/0"},
        {"{\"model\": \"nobody\", \"states\": [[[[1]]]]}", "model_not_found", "/model"},
        {"{\"model\": \"both\", \"states\": [[[[1]]]]}", "not_streamable", "/session"},
        {"{\"states\": 1}", "wrong_type", "/states"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        reply = http_request(&server, "PUT", "/sessions/c", bad[i][0], NULL);
        assert_error(&reply, strcmp(bad[i][1], "model_not_found") ? 400 : 404, bad[i][1],
                     *bad[i][2] ? bad[i][2] : NULL);
        reply_free(&reply);
    }
    reply = http_request(&server, "DELETE", "/sessions/a", NULL, NULL);
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    reply = http_request(&server, "DELETE", "/sessions/a", NULL, NULL);
    assert_error(&reply, 404, "session_not_found", NULL);
    reply_free(&reply);
    reply = http_request(&server, "PATCH", "/sessions/a", NULL, NULL);
    assert_error(&reply, 405, "method_not_allowed", NULL);
    assert_non_null(strstr(reply.headers, "Allow: GET, HEAD, PUT, DELETE\r\n"));
    reply_free(&reply);
    reply = http_get(&server, "/sessions/a%20b");
    assert_error(&reply, 400, "invalid_session", "/session");
    reply_free(&reply);
    free(good_step(&server, "\"session\": \"a\"", 1)); /* a new session */
    reply_free(&shown);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* :step is one timestep of the same session. */
static void the_step_route_takes_sessions(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    for (int i = 0; i < 2; i++) {
        char body[160];
        snprintf(body, sizeof body, "{\"inputs\": [[1, 0.5]], \"session\": \"s\", \"step\": %d}", i);
        struct reply reply = http_post(&server, "/v1/models/lstm:step", body);
        assert_int_equal(reply.status, 200);
        assert_int_equal(json_integer_value(json_object_get(reply.json, "step")), i + 1);
        reply_free(&reply);
    }
    free(good_step(&server, "\"session\": \"p\"", 1));
    free(good_step(&server, "\"session\": \"p\"", 2));
    struct reply s = http_get(&server, "/sessions/s"), p = http_get(&server, "/sessions/p");
    assert_string_equal(from_key(&s, "\"states\""), from_key(&p, "\"states\""));
    reply_free(&s);
    reply_free(&p);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- sequences of the Open Inference Protocol ---- */

static struct reply infer(const struct daemon *server, const char *parameters)
{
    char body[512];
    snprintf(body, sizeof body,
             "{\"inputs\": [{\"name\": \"inputs\", \"shape\": [1, 1, 2], \"datatype\": \"FP32\", \"data\": [1, 0.5]}], "
             "\"outputs\": [{\"name\": \"state.0.h\"}], \"parameters\": {%s}}",
             parameters);
    return http_post(server, "/v2/models/lstm/infer", body);
}

static void assert_infer(const struct daemon *server, const char *parameters, const char *want)
{
    struct reply reply = infer(server, parameters);
    assert_int_equal(reply.status, 200);
    assert_string_equal(reply.body, want);
    reply_free(&reply);
}

static void sequences_have_tritons_rules(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, "");
    struct reply none = infer(&server, "\"sequence_id\": 0"), reply = infer(&server, "\"sequence_id\": 5");
    assert_int_equal(none.status, 200);
    assert_error(&reply, 400, "sequence_not_started", "/parameters/sequence_id");
    assert_non_null(strstr(reply.body, "must specify the START flag on the first request of the sequence"));
    reply_free(&reply);
    assert_infer(&server, "\"sequence_id\": 5, \"sequence_start\": true", none.body);
    struct reply second = infer(&server, "\"sequence_id\": 5");
    assert_int_equal(second.status, 200);
    assert_string_not_equal(second.body, none.body);
    assert_infer(&server, "\"sequence_id\": 5, \"sequence_start\": true", none.body); /* a second start begins with zero
                                                                                         states again */
    assert_infer(&server, "\"sequence_id\": \"five\", \"sequence_start\": true", none.body);
    assert_infer(&server, "\"sequence_id\": \"five\", \"sequence_end\": true", second.body);
    reply = infer(&server, "\"sequence_id\": \"five\"");
    assert_error(&reply, 400, "sequence_not_started", "/parameters/sequence_id");
    reply_free(&reply);
    reply = infer(&server, "\"sequence_id\": -5, \"sequence_start\": true");
    assert_error(&reply, 400, "wrong_type", "/parameters/sequence_id");
    reply_free(&reply);
    reply = infer(&server, "\"sequence_id\": 18446744073709551615, \"sequence_start\": true, \"sequence_end\": true");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    reply = http_get(&server, "/sessions/lstm:5");
    assert_int_equal(reply.status, 200);
    reply_free(&reply);
    reply_free(&none);
    reply_free(&second);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* ---- room ---- */

static void sessions_are_limited_in_number_and_bytes(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, ", \"sessions\": {\"max\": 2}");
    free(good_step(&server, "\"session\": \"a\"", 1));
    free(good_step(&server, "\"session\": \"b\"", 1));
    assert_int_equal(metric(&server, "cellserve_sessions"), 2);
    struct reply reply = step(&server, "\"session\": \"c\"");
    assert_error(&reply, 429, "too_many_sessions", "/session");
    assert_non_null(strstr(reply.headers, "Retry-After: 1\r\n"));
    reply_free(&reply);
    free(good_step(&server, "\"session\": \"a\"", 2)); /* those that are there go on */
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    start(&server, ", \"sessions\": {\"max_bytes\": 1024}");
    free(good_step(&server, "\"session\": \"a\"", 1));
    for (int i = 0; i < 3; i++) {
        char more[40];
        snprintf(more, sizeof more, "\"session\": \"b%d\"", i);
        reply = step(&server, more);
        if (i == 2)
            assert_error(&reply, 429, "too_many_sessions", "/session");
        reply_free(&reply);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void sessions_expire(void **state)
{
    (void)state;
    struct daemon server;
    start(&server, ", \"sessions\": {\"max\": 2, \"ttl_s\": 1}");
    free(good_step(&server, "\"session\": \"a\"", 1));
    free(good_step(&server, "\"session\": \"b\"", 1));
    await_metric(&server, "cellserve_sessions_expired_total", 2, 2);
    assert_int_equal(metric(&server, "cellserve_sessions"), 0);
    free(good_step(&server, "\"session\": \"c\"", 1)); /* there is room again */
    assert_step_error(&server, "\"session\": \"a\", \"step\": 2", 409, "step_conflict",
                      "/step"); /* not silently anew */
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

enum { TTL_MS = 2000 };

/* b, used once, is over while a's last step is only repeated. False: this test itself was too slow to keep a. */
static bool keep_by_repeating(const struct daemon *server)
{
    static int tries;
    char zero[48], one_more[48], two_more[48], other[48], path[32];
    double expired = metric(server, "cellserve_sessions_expired_total"), sent = now_ms(), longest = 0;
    snprintf(zero, sizeof zero, "\"session\": \"a%d\", \"step\": 0", ++tries);
    snprintf(one_more, sizeof one_more, "\"session\": \"a%d\", \"step\": 1", tries);
    snprintf(two_more, sizeof two_more, "\"session\": \"a%d\", \"step\": 2", tries);
    snprintf(other, sizeof other, "\"session\": \"b%d\", \"step\": 0", tries);
    snprintf(path, sizeof path, "/sessions/a%d", tries);
    free(good_step(server, zero, 1));
    char *second = good_step(server, one_more, 2);
    free(good_step(server, other, 1));
    for (double end = now_ms() + 60000; now_ms() < end;) {
        struct reply again = step(server, one_more);
        double now = now_ms();
        longest = now - sent > longest ? now - sent : longest;
        sent = now;
        bool same = again.status == 200 && !strcmp(again.body, second);
        reply_free(&again);
        if (longest > TTL_MS / 2)
            break;
        assert_true(same);
        if (metric(server, "cellserve_sessions_expired_total") > expired)
            break;
        sleep_ms(20);
    }
    double before = now_ms();
    struct reply shown = http_get(server, path), third = step(server, two_more);
    bool in_time = longest < TTL_MS / 2 && now_ms() - sent < TTL_MS / 2;
    if (in_time) {
        assert_int_equal(shown.status, 200);
        double idle = 1000 * json_real_value(json_object_get(shown.json, "idle_s"));
        if (idle > now_ms() - sent + 50 + longest)
            fail_msg("idle for %g ms, %g ms after the last use", idle, before - sent);
        assert_true(json_real_value(json_object_get(shown.json, "age_s")) >= 2);
        assert_int_equal(third.status, 200);
        assert_int_equal(json_integer_value(json_object_get(third.json, "step")), 3);
    }
    reply_free(&shown);
    reply_free(&third);
    free(second);
    return in_time;
}

static void a_repeated_step_keeps_a_session(void **state)
{
    (void)state;
    struct daemon server;
    bool kept = false;
    start(&server, ", \"sessions\": {\"ttl_s\": 2}");
    for (int i = 0; i < 10 && !kept; i++)
        kept = keep_by_repeating(&server);
    assert_true(kept);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_step_is_applied_once),
                                       cmocka_unit_test(the_answer_of_a_step_is_kept),
                                       cmocka_unit_test(invalid_session_requests_are_refused),
                                       cmocka_unit_test(a_failed_request_leaves_its_session_unchanged),
                                       cmocka_unit_test(concurrent_steps_are_applied_once_each),
                                       cmocka_unit_test(a_session_is_in_the_order_of_arrival),
                                       cmocka_unit_test(sessions_are_shown_set_and_deleted),
                                       cmocka_unit_test(the_step_route_takes_sessions),
                                       cmocka_unit_test(sequences_have_tritons_rules),
                                       cmocka_unit_test(sessions_are_limited_in_number_and_bytes),
                                       cmocka_unit_test(sessions_expire),
                                       cmocka_unit_test(a_repeated_step_keeps_a_session)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
