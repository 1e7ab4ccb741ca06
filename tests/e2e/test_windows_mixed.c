/* Many concurrent sessions with windows, together with other predictions of the same models. Whatever the splits,
   repeats and other rows of the batch, each answer equals byte for byte that for the whole windows sent explicitly. */
#include "e2e.h"
#include "redis.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

enum { N = 5, ROWS = 3, STEPS = 21, MODELS_N = 4, SESSIONS = 4, NEIGHBOURS = 2, TEXT = 20000 };

#define LAYER_IN "{\"class_name\": \"InputLayer\", \"config\": {\"batch_input_shape\": [null, 5, 2], \"name\": \"x\"}"
#define LSTM(name) "{\"class_name\": \"LSTM\", \"config\": {\"units\": 3, \"name\": \"" name "\""
#define NODE(from) "\"inbound_nodes\": [[[\"" from "\", 0, 0, {}]]]"

/* A model that needs whole sequences, with scalers; one with sequences as outputs; one with several layers and labels;
   one with two outputs. */
#define MODELS                                                                                                         \
    "\"models\": [{\"name\": \"both\", \"window\": true, \"layer\": {\"class_name\": \"Sequential\", \"config\": "     \
    "{\"layers\": [" LAYER_IN "}, {\"class_name\": \"Bidirectional\", \"config\": {\"layer\": " LSTM(                  \
        "l") "}}}}, {\"class_name\": \"Dense\", "                                                                      \
             "\"config\": {\"units\": 2}}]}}, \"transform\": {\"input_scaler\": {\"max_abs\": [4, 2]}, "               \
             "\"output_scaler\": "                                                                                     \
             "{\"max_abs\": [3, 7]}}},"                                                                                \
             "{\"name\": \"sequence\", \"window\": 5, \"input_size\": 2, \"layer\": {\"class_name\": \"GRU\", "        \
             "\"config\": "                                                                                            \
             "{\"units\": 2, \"return_sequences\": true}}},"                                                           \
             "{\"name\": \"stack\", \"window\": true, \"layer\": {\"class_name\": \"Sequential\", \"config\": "        \
             "{\"layers\": "                                                                                           \
             "[" LAYER_IN "}, " LSTM("a") ", \"return_sequences\": true}}, " LSTM(                                     \
                 "b") "}}, {\"class_name\": \"Dense\", "                                                               \
                      "\"config\": {\"units\": 2, \"activation\": \"softmax\"}}]}}},"                                  \
                      "{\"name\": \"pair\", \"window\": true, \"layer\": {\"class_name\": \"Functional\", "            \
                      "\"config\": {\"layers\": [" LAYER_IN                                                            \
                      ", \"name\": \"x\", \"inbound_nodes\": []}, " LSTM("l") "}, \"name\": \"l\", " NODE(             \
                          "x") "}, "                                                                                   \
                               "{\"class_name\": \"Dense\", \"config\": {\"units\": 1, \"name\": \"one\"}, \"name\": " \
                               "\"one\", " NODE("l") "}, "                                                             \
                                                     "{\"class_name\": \"Dense\", \"config\": {\"units\": 2, "         \
                                                     "\"name\": \"two\"}, \"name\": \"two\", " NODE(                   \
                                                         "l") "}], "                                                   \
                                                              "\"input_layers\": [[\"x\", 0, 0]], \"output_layers\": " \
                                                              "[[\"one\", 0, 0], [\"two\", 0, 0]]}}}]"

static const char *const models[MODELS_N] = {"both", "sequence", "stack", "pair"};
static const char *const outputs[MODELS_N][2] = {{""}, {""}, {""}, {"one", "two"}};

/* The text of the outputs of each window sent explicitly: by model, output, row, and the timestep after its last. */
static char *windows[MODELS_N][2][ROWS][STEPS + 1];
static atomic_bool over;
static bool all_are_numbered; /* the steps of sessions */
static atomic_int wrong;

static void complain(const char *what, const char *body, const char *answer, const char *want)
{
    if (!atomic_fetch_add(&wrong, 1))
        printf("%s\n%s\n%s\n%s\n", what, body, answer ? answer : "", want);
}

static size_t write_steps(char *out, int row, int first, int end)
{
    size_t used = (size_t)sprintf(out, "[");
    for (int t = first; t < end; t++)
        used += (size_t)sprintf(out + used, "%s[%g, %g]", t > first ? ", " : "", (row * 31 + t * 17) % 23 / 8. - 1,
                                (row * 7 + t * 5) % 11 / 4. - 1);
    return used + (size_t)sprintf(out + used, "]");
}

/* The text of "outputs", or of the named output: up to its closing bracket. */
static const char *outputs_text(const char *answer, const char *name, size_t *n)
{
    char key[32];
    const char *at = strstr(answer, "\"outputs\": ");
    snprintf(key, sizeof key, "\"%s\": ", *name ? name : "outputs");
    at = at ? strstr(at, key) : NULL;
    if (!at)
        return NULL;
    at += strlen(key);
    int depth = 0;
    *n = 0;
    do {
        depth += at[*n] == '[' || at[*n] == '{';
        depth -= at[*n] == ']' || at[*n] == '}';
        ++*n;
    } while (depth && at[*n]);
    return at;
}

static void send_by_hand(const struct daemon *server)
{
    char body[1000];
    for (int m = 0; m < MODELS_N; m++)
        for (int row = 0; row < ROWS; row++)
            for (int end = N; end <= STEPS; end++) {
                size_t used = (size_t)sprintf(body, "{\"model\": \"%s\", \"instances\": [", models[m]), n;
                used += write_steps(body + used, row, end - N, end);
                sprintf(body + used, "]}");
                struct reply reply = http_post(server, "/predict", body);
                assert_int_equal(reply.status, 200);
                for (int o = 0; o < 2 && outputs[m][o]; o++) {
                    const char *at = outputs_text(reply.body, outputs[m][o], &n);
                    assert_non_null(at);
                    free(windows[m][o][row][end]);
                    windows[m][o][row][end] = strndup(at + 1, n - 2);
                }
                reply_free(&reply);
            }
}

/* Write the expected outputs of rows that got the timesteps from `at` to `end`. */
static void write_wanted(char *out, int m, int rows, int at, int end, bool each)
{
    size_t used = (size_t)sprintf(out, outputs[m][1] ? "{" : "");
    for (int o = 0; o < 2 && outputs[m][o]; o++) {
        if (outputs[m][1])
            used += (size_t)sprintf(out + used, "%s\"%s\": ", o ? "," : "", outputs[m][o]);
        for (int row = 0; row < rows; row++) {
            used += (size_t)sprintf(out + used, row ? "," : "[");
            for (int t = each ? at + 1 : end; t <= end; t++)
                used += (size_t)sprintf(out + used, "%s%s",
                                        !each         ? ""
                                        : t == at + 1 ? "["
                                                      : ",",
                                        t < N ? "null" : windows[m][o][row][t]);
            used += (size_t)sprintf(out + used, each ? "]" : "");
        }
        used += (size_t)sprintf(out + used, "]");
    }
    sprintf(out + used, outputs[m][1] ? "}" : "");
}

static unsigned next(unsigned *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 16;
}

/* Continue the session under another name, with GET and PUT. */
static void move_session(const struct daemon *server, char *id)
{
    char from[64], to[64], other[40];
    snprintf(other, sizeof other, "%.30s.", id);
    snprintf(from, sizeof from, "/sessions/%s", id);
    snprintf(to, sizeof to, "/sessions/%s", other);
    struct reply shown = ask_patiently(server, "GET", from, NULL), put = ask_patiently(server, "PUT", to, shown.body);
    if (shown.status != 200 || put.status != 200)
        complain("move", shown.body, put.body, "");
    reply_free(&shown);
    reply_free(&put);
    strcpy(id, other);
}

static void run_session(const struct daemon *server, int m, char *id, unsigned seed)
{
    char body[3000], *wanted = malloc(TEXT);
    int rows = 1 + (int)(next(&seed) % ROWS);
    for (int at = 0, step = 0; at < STEPS && !wrong; step++) {
        int end = at + 1 + (int)(next(&seed) % (next(&seed) % 2 ? 2 : N + 3));
        bool each = next(&seed) % 2, numbered = next(&seed) % 4 || all_are_numbered;
        end = end > STEPS ? STEPS : end;
        size_t used = (size_t)sprintf(body, "{\"model\": \"%s\", \"session\": \"%s\"%s, \"instances\": [", models[m],
                                      id, each ? ", \"return_windows\": true" : ""),
               n = 0;
        for (int row = 0; row < rows; row++) {
            used += (size_t)sprintf(body + used, row ? ", " : "");
            used += write_steps(body + used, row, at, end);
        }
        used += (size_t)sprintf(body + used, "]");
        if (numbered)
            used += (size_t)sprintf(body + used, ", \"step\": %d", step);
        sprintf(body + used, "}");
        write_wanted(wanted, m, rows, at, end, each);
        struct reply reply = ask_patiently(server, "POST", "/predict", body);
        const char *got = reply.status == 200 ? outputs_text(reply.body, "", &n) : NULL;
        if (!got || n != strlen(wanted) || memcmp(got, wanted, n))
            complain("answer", body, reply.body, wanted);
        for (int again = (int)(next(&seed) % 3); numbered && again > 1; again--) {
            struct reply repeated = ask_patiently(server, "POST", "/predict", body);
            if (!repeated.body || strcmp(repeated.body, reply.body))
                complain("repeat", body, repeated.body, reply.body);
            reply_free(&repeated);
        }
        reply_free(&reply);
        if (next(&seed) % 8 == 0)
            move_session(server, id);
        at = end;
    }
    free(wanted);
}

static const struct daemon *shared;

static void *run_sessions(void *argument)
{
    const unsigned *number = argument;
    char id[40];
    for (int i = 0; i < SESSIONS * MODELS_N && !wrong; i++) {
        snprintf(id, sizeof id, "s-%u-%d", *number, i);
        run_session(shared, i % MODELS_N, id, *number * 1000 + (unsigned)i);
    }
    return NULL;
}

/* Meanwhile, send predictions of other lengths, and windows of long sequences. */
static void *run_neighbour(void *argument)
{
    unsigned seed = *(const unsigned *)argument;
    char body[3000];
    while (!over) {
        bool slides = next(&seed) % 2;
        int m = slides ? (int)(next(&seed) % MODELS_N) : 1, end = 1 + (int)(next(&seed) % STEPS);
        size_t used = (size_t)sprintf(body, "{\"model\": \"%s\"%s, \"instances\": [", models[m],
                                      slides ? ", \"slide\": true" : "");
        used += write_steps(body + used, 1, 0, slides && end < N ? N : end);
        sprintf(body + used, "]}");
        struct reply reply = http_post(shared, "/predict", body);
        if (reply.status != 200)
            complain("neighbour", body, reply.body, "");
        reply_free(&reply);
    }
    return NULL;
}

static void run_all(const struct daemon *server)
{
    pthread_t threads[SESSIONS + NEIGHBOURS];
    unsigned numbers[SESSIONS + NEIGHBOURS];
    shared = server;
    over = false;
    wrong = 0;
    send_by_hand(server);
    for (unsigned i = 0; i < SESSIONS + NEIGHBOURS; i++) {
        numbers[i] = i + 1;
        assert_int_equal(pthread_create(&threads[i], NULL, i < SESSIONS ? run_sessions : run_neighbour, &numbers[i]),
                         0);
    }
    for (int i = 0; i < SESSIONS; i++)
        pthread_join(threads[i], NULL);
    over = true;
    for (int i = SESSIONS; i < SESSIONS + NEIGHBOURS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(wrong, 0);
}

static void answers_are_those_of_whole_windows(void **state)
{
    (void)state;
    struct daemon server;
    daemon_start(&server, "{" MODELS "}", NULL);
    run_all(&server);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

static void the_same_in_redis(void **state)
{
    (void)state;
    struct redis redis;
    struct daemon server;
    redis_start(&redis);
    start_with_redis(&server, &redis, MODELS);
    all_are_numbered = true; /* so that any request can be sent again */
    run_all(&server);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
    redis_stop(&redis);
}

static int forget_windows(void **state)
{
    (void)state;
    for (int m = 0; m < MODELS_N; m++)
        for (int i = 0; i < 2 * ROWS * (STEPS + 1); i++)
            free((&windows[m][0][0][0])[i]);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_are_those_of_whole_windows),
                                       cmocka_unit_test(the_same_in_redis)};
    return cmocka_run_group_tests(tests, NULL, forget_windows);
}
