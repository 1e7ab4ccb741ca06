/* A sequence in parts, each a request of a session, gives the same outputs as the whole sequence. */
#include "e2e.h"
#include "sessions.h"

#include <pthread.h>
#include <signal.h>

static unsigned below(unsigned *state, unsigned n)
{
    *state = *state * 1664525u + 1013904223u;
    return (*state >> 8) % n;
}

enum { MOST_ROWS = 3, MOST_STEPS = 12, MOST_PARTS = 4 };

struct sequences {
    size_t rows, steps[MOST_ROWS], parts, cuts[MOST_ROWS][MOST_PARTS + 1];
    bool masked;
    float x[MOST_ROWS][MOST_STEPS][2];
    bool mask[MOST_ROWS][MOST_STEPS];
};

static void make(struct sequences *s, unsigned *state)
{
    s->rows = 1 + below(state, MOST_ROWS);
    s->parts = 1 + below(state, MOST_PARTS);
    s->masked = below(state, 2);
    for (size_t b = 0; b < s->rows; b++) {
        s->steps[b] = s->parts + below(state, MOST_STEPS - (unsigned)s->parts + 1);
        s->cuts[b][0] = 0;
        for (size_t k = 1; k <= s->parts; k++) { /* every part has at least one timestep */
            size_t least = s->cuts[b][k - 1] + 1, most = s->steps[b] - (s->parts - k);
            s->cuts[b][k] = k == s->parts ? s->steps[b] : least + below(state, (unsigned)(most - least + 1));
        }
        for (size_t t = 0; t < s->steps[b]; t++) {
            s->mask[b][t] = below(state, 3);
            bool masking = !below(state, 3); /* values that the layer Masking skips */
            for (size_t f = 0; f < 2; f++)
                s->x[b][t][f] = masking ? 0.5f : (float)below(state, 1000) / 500 - 1;
        }
    }
}

/* A body of the timesteps from cut `from` to cut `to` of every row. */
static char *body_of(const struct sequences *s, size_t from, size_t to, const char *more)
{
    char *body = malloc(16384), *at = body + sprintf(body, "{%s\"instances\": [", more);
    for (size_t b = 0; b < s->rows; b++) {
        at += sprintf(at, b ? ",[" : "[");
        for (size_t t = s->cuts[b][from]; t < s->cuts[b][to]; t++)
            at += sprintf(at, "%s[%.9g,%.9g]", t > s->cuts[b][from] ? "," : "", s->x[b][t][0], s->x[b][t][1]);
        at += sprintf(at, "]");
    }
    at += sprintf(at, "]");
    if (s->masked) {
        at += sprintf(at, ", \"mask\": [");
        for (size_t b = 0; b < s->rows; b++) {
            at += sprintf(at, b ? ",[" : "[");
            for (size_t t = s->cuts[b][from]; t < s->cuts[b][to]; t++)
                at += sprintf(at, "%s%s", t > s->cuts[b][from] ? "," : "", s->mask[b][t] ? "true" : "false");
            at += sprintf(at, "]");
        }
        at += sprintf(at, "]");
    }
    strcpy(at, "}");
    return body;
}

/* With return_sequences false, the last part gives the outputs of the whole; with true, the joined parts do. */
static void check_split(const struct daemon *server, const char *model, unsigned seed)
{
    struct sequences s;
    unsigned state = seed;
    make(&s, &state);
    bool sequences = below(&state, 2);
    char more[200];
    snprintf(more, sizeof more, "\"model\": \"%s\", \"return_sequences\": %s, ", model, sequences ? "true" : "false");
    char *body = body_of(&s, 0, s.parts, more);
    struct reply whole = http_post(server, "/predict", body), part = {.status = 0};
    free(body);
    assert_int_equal(whole.status, 200);
    json_t *outputs = json_array();
    for (size_t k = 0; k < s.parts; k++) {
        snprintf(more, sizeof more,
                 "\"model\": \"%s\", \"return_sequences\": %s, \"session\": \"%s-%u\", \"step\": %zu, ", model,
                 sequences ? "true" : "false", model, seed, k);
        body = body_of(&s, k, k + 1, more);
        reply_free(&part);
        part = http_post(server, "/predict", body);
        free(body);
        from_key(&part, "\"states\"");
        assert_int_equal(json_integer_value(json_object_get(part.json, "step")), k + 1);
        json_t *rows = json_object_get(part.json, "outputs");
        for (size_t b = 0; sequences && b < s.rows; b++) {
            if (!k)
                json_array_append_new(outputs, json_array());
            json_array_extend(json_array_get(outputs, b), json_array_get(rows, b));
        }
    }
    if (sequences) {
        if (!json_equal(outputs, json_object_get(whole.json, "outputs")))
            fail_msg("%s, seed %u: other outputs in %zu parts", model, seed, s.parts);
        assert_string_equal(from_key(&part, "\"states\""), from_key(&whole, "\"states\""));
    } else {
        if (strcmp(from_key(&part, "\"outputs\""), from_key(&whole, "\"outputs\"")))
            fail_msg("%s, seed %u, %zu parts: %s\nas a whole: %s", model, seed, s.parts, part.body, whole.body);
    }
    json_decref(outputs);
    reply_free(&part);
    reply_free(&whole);
}

struct crowd {
    const struct daemon *server;
    unsigned first, count;
};

static void *check_some(void *argument)
{
    static const char *const names[] = {"simple", "lstm", "zeros", "chain", "rare"};
    const struct crowd *crowd = argument;
    for (unsigned i = 0; i < crowd->count; i++)
        check_split(crowd->server, names[(crowd->first + i) % 5], crowd->first + i);
    return NULL;
}

/* Several sessions at a time, so that rows run in batches. */
static void parts_give_the_answer_of_the_whole(void **state)
{
    (void)state;
    struct daemon server;
    struct crowd crowds[6];
    pthread_t threads[6];
    start(&server, "");
    for (unsigned i = 0; i < 6; i++) {
        crowds[i] = (struct crowd){&server, 1000 * i, SANITIZED ? 20 : 100};
        pthread_create(&threads[i], NULL, check_some, &crowds[i]);
    }
    for (unsigned i = 0; i < 6; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(daemon_stop(&server, SIGINT), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parts_give_the_answer_of_the_whole)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
