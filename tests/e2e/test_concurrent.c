/* Many clients at a time: every answer has the same bits as that of the request alone, and memory does not grow. */
#include "e2e.h"

#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CLIENTS = 64, KINDS = 30, ROUNDS = SANITIZED ? 4 : 25 };

static struct daemon server;
static char *bodies[KINDS], *answers[KINDS];

static const char config[] =
    "{\"models\": ["
    "{\"name\": \"lstm\", \"input_size\": 3, \"seed\": 1, \"layer\": {\"class_name\": \"RNN\", \"config\": {\"cell\": ["
    "  {\"class_name\": \"LSTMCell\", \"config\": {\"units\": 37}}, {\"class_name\": \"LSTMCell\", \"config\": "
    "{\"units\": 20}}]}}},"
    "{\"name\": \"gru\", \"input_size\": 3, \"seed\": 2, \"layer\": {\"class_name\": \"GRU\", \"config\": {\"units\": "
    "33}}},"
    "{\"name\": \"before\", \"input_size\": 3, \"seed\": 2, \"layer\": {\"class_name\": \"GRU\", \"config\": "
    "{\"units\": 9, "
    "  \"reset_after\": false}}},"
    "{\"name\": \"simple\", \"input_size\": 3, \"seed\": 3, \"layer\": {\"class_name\": \"SimpleRNN\", \"config\": "
    "{\"units\": 70}}},"
    "{\"name\": \"chain\", \"seed\": 4, \"layer\": {\"class_name\": \"Sequential\", \"config\": {\"layers\": ["
    "  {\"class_name\": \"TimeDistributed\", \"config\": {\"batch_input_shape\": [null, null, 3], \"layer\": "
    "{\"class_name\": \"Dense\", \"config\": {\"units\": 5}}}}, "
    "  {\"class_name\": \"GRU\", \"config\": {\"units\": 21, \"return_sequences\": true}}, {\"class_name\": "
    "\"LSTM\", \"config\": {\"units\": 18}}, {\"class_name\": \"Dense\", \"config\": {\"units\": 4}}]}}},"
    "{\"name\": \"both\", \"input_size\": 3, \"seed\": 5, \"layer\": {\"class_name\": \"Bidirectional\", "
    "\"config\": {\"layer\": {\"class_name\": \"LSTM\", \"config\": {\"units\": 19}}}}}],"
    " \"batching\": {\"max_batch_rows\": %d}, \"limits\": {\"request_timeout_ms\": 600000}, \"log\": {\"level\": "
    "\"warn\"}}";

static unsigned seed = 99;

static unsigned draw(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

/* A request with a random number of rows of random lengths. */
static char *make_body(int kind)
{
    static const char *const models[] = {"lstm", "gru", "before", "simple", "chain", "both"};
    unsigned rows = 1 + draw(kind % 3 ? 6 : 40), steps[40];
    char *text = malloc(4000000), *at = text;
    at += sprintf(at, "{\"model\": \"%s\", \"return_sequences\": %s, \"instances\": [", models[kind % 6],
                  kind % 5 ? "false" : "true");
    for (unsigned b = 0; b < rows; b++) {
        steps[b] = 1 + draw(40);
        at += sprintf(at, "%s[", b ? "," : "");
        for (unsigned t = 0; t < steps[b]; t++)
            at += sprintf(at, "%s[%.3f,%.3f,%.3f]", t ? "," : "", draw(2000) * 1e-3 - 1, draw(2000) * 1e-3 - 1,
                          draw(2000) * 1e-3 - 1);
        at += sprintf(at, "]");
    }
    at += sprintf(at, "]");
    for (unsigned b = 0; kind % 7 == 1 && b < rows; b++) {
        at += sprintf(at, b ? ",[" : ", \"mask\": [[");
        for (unsigned t = 0; t < steps[b]; t++)
            at += sprintf(at, "%s%u", t ? "," : "", draw(2));
        at += sprintf(at, b + 1 < rows ? "]" : "]]");
    }
    sprintf(at, "}");
    return text;
}

static void *client(void *argument)
{
    size_t index = (size_t)(uintptr_t)argument;
    for (int round = 0; round < ROUNDS; round++) {
        int kind = (int)((index * 7 + (size_t)round * 5) % KINDS);
        struct reply reply = http_post(&server, "/predict", bodies[kind]);
        bool same = reply.status == 200 && !strcmp(reply.body, answers[kind]);
        reply_free(&reply);
        if (!same)
            return (void *)(uintptr_t)(kind + 1);
    }
    return NULL;
}

/* Record the answer to each body alone, from a server with one worker. */
static void record_alone(int batch_rows)
{
    char text[4096];
    snprintf(text, sizeof text, config, batch_rows);
    daemon_start(&server, text, (const char *const[]){"--workers", "1", NULL});
    for (int i = 0; i < KINDS; i++) {
        struct reply reply = http_post(&server, "/predict", bodies[i]);
        assert_int_equal(reply.status, 200);
        free(answers[i]);
        answers[i] = strdup(reply.body);
        reply_free(&reply);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void answers_under_load_are_those_alone(void **state)
{
    (void)state;
    char text[4096];
    pthread_t threads[CLIENTS];
    record_alone(64);
    snprintf(text, sizeof text, config, 5); /* batches have other groups of rows */
    daemon_start(&server, text, (const char *const[]){"--workers", "4", NULL});
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, client, (void *)(uintptr_t)i), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        if (wrong)
            fail_msg("body %d is answered otherwise than alone", (int)(uintptr_t)wrong - 1);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* The first row of every body has the same bits in a batch and alone. */
static void rows_do_not_depend_on_their_neighbours(void **state)
{
    (void)state;
    char text[4096];
    snprintf(text, sizeof text, config, 64);
    daemon_start(&server, text, NULL);
    for (int i = 0; i < KINDS; i++) {
        json_t *body = json_loads(bodies[i], 0, NULL);
        json_t *rows = json_object_get(body, "instances"), *first = json_array();
        json_array_append(first, json_array_get(rows, 0));
        json_object_set_new(body, "instances", first);
        json_t *mask = json_object_get(body, "mask");
        while (json_array_size(mask) > 1)
            json_array_remove(mask, 1);
        char *one = json_dumps(body, 0);
        struct reply reply = http_post(&server, "/predict", one);
        json_t *whole = json_loads(answers[i], 0, NULL);
        assert_int_equal(reply.status, 200);
        assert_true(json_equal(json_array_get(json_object_get(reply.json, "outputs"), 0),
                               json_array_get(json_object_get(whole, "outputs"), 0)));
        reply_free(&reply);
        free(one);
        json_decref(body);
        json_decref(whole);
    }
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

/* Read one answer of a kept connection, by its Content-Length. */
static void read_answer(int fd)
{
    char head[4096], body[65536];
    size_t used = 0;
    while (used + 1 < sizeof head && recv(fd, head + used, 1, 0) == 1) {
        head[++used] = 0;
        if (used >= 4 && !memcmp(head + used - 4, "\r\n\r\n", 4))
            break;
    }
    const char *length = strcasestr(head, "\r\nContent-Length: ");
    assert_int_equal(strncmp(head, "HTTP/1.1 200 ", 13), 0);
    assert_non_null(length);
    size_t bytes = (size_t)atol(length + 18);
    assert_true(bytes < sizeof body);
    assert_int_equal(recv(fd, body, bytes, MSG_WAITALL), bytes);
}

static void memory_stays_flat_over_ten_thousand_requests(void **state)
{
    (void)state;
    char text[4096];
    snprintf(text, sizeof text, config, 64);
    daemon_start(&server, text, NULL);
    static const char request[] =
        "POST /predict HTTP/1.1\r\nHost: a\r\nContent-Length: 82\r\n\r\n"
        "{\"model\": \"lstm\", \"return_sequences\": true, \"instances\": [[[1, 2, 3], [4, 5, 6]]]}";
    enum { ROUND = SANITIZED ? 400 : 8000, WARM_UP = ROUND / 4, ROUNDS_MOST = 4 };
    int fd = raw_connect(&server);
    long early = 0, late = 1 << 30; /* a leak grows in each round; a thread that uses its memory at last does once */
    for (int i = 0; i < WARM_UP + ROUNDS_MOST * ROUND; i++) {
        bool ends = i >= WARM_UP && (i - WARM_UP) % ROUND == 0;
        if (ends && i > WARM_UP)
            late = daemon_rss_kib(&server);
        if (ends && (SANITIZED ? i > WARM_UP : late <= early + 512))
            break;
        if (ends)
            early = daemon_rss_kib(&server);
        raw_send(fd, request, strlen(request));
        read_answer(fd);
    }
    close(fd);
    if (!SANITIZED && late > early + 512)
        fail_msg("resident memory grew from %ld to %ld KiB by %d requests", early, late, (int)ROUND);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    curl_global_init(CURL_GLOBAL_ALL);
    for (int i = 0; i < KINDS; i++)
        bodies[i] = make_body(i);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_under_load_are_those_alone),
        cmocka_unit_test(rows_do_not_depend_on_their_neighbours),
        cmocka_unit_test(memory_stays_flat_over_ten_thousand_requests),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    for (int i = 0; i < KINDS; i++) {
        free(bodies[i]);
        free(answers[i]);
    }
    return failed;
}
