/* verify: compares a model's answer with a framework's own, number by number. */
#include "local.h"
#include "npy.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE_BYTES = 1 << 30, MAX_LISTED_STEPS = 1000 };

struct tolerance {
    double relative, absolute;
};

/* The worst of some numbers. */
struct worst {
    double difference, expected, got;
    size_t numbers, outside;
    bool shapes_differ;
};

/* A JSON or npy file as JSON; NULL with a sentence on stderr. */
static json_t *load(const char *path)
{
    size_t bytes;
    json_error_t error;
    const char *wrong = NULL;
    char *text = read_whole(path, MAX_FILE_BYTES, &bytes);
    if (!text) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return NULL;
    }
    if (bytes >= 4 && !memcmp(text, "PK\3\4", 4)) {
        fprintf(stderr, "%s: archives (.npz) are not read yet; save the array with numpy.save\n", path);
        free(text);
        return NULL;
    }
    json_t *json =
        npy_is(text, bytes) ? npy_to_json(text, bytes, &wrong) : json_loadb(text, bytes, JSON_DECODE_ANY, &error);
    if (!json && wrong)
        fprintf(stderr, "%s: %s\n", path, wrong);
    else if (!json)
        fprintf(stderr, "%s: line %d, column %d: %s (expected JSON or .npy)\n", path, error.line, error.column,
                error.text);
    free(text);
    return json;
}

static void compare(const json_t *got, const json_t *expected, struct tolerance tolerance, struct worst *worst)
{
    if (json_is_array(got) && json_is_array(expected) && json_array_size(got) == json_array_size(expected)) {
        for (size_t i = 0; i < json_array_size(got); i++)
            compare(json_array_get(got, i), json_array_get(expected, i), tolerance, worst);
    } else if (json_is_number(got) && json_is_number(expected)) {
        double a = json_number_value(got), b = json_number_value(expected), difference = fabs(a - b);
        worst->numbers++;
        worst->outside += !(difference <= tolerance.absolute + tolerance.relative * fabs(b));
        if (!(difference <= worst->difference)) {
            worst->difference = difference;
            worst->got = a;
            worst->expected = b;
        }
    } else {
        worst->shapes_differ = true;
    }
}

/* One line of the report. Returns whether all is well. */
static bool report(const char *name, const struct worst *worst)
{
    if (worst->shapes_differ) {
        printf("%-28s shapes differ\n", name);
        return false;
    }
    printf("%-28s %10zu numbers, largest difference %.3g (%.9g, expected %.9g), %zu outside\n", name, worst->numbers,
           worst->difference, worst->got, worst->expected, worst->outside);
    return !worst->outside;
}

/* Step t of every sequence that has one. */
static bool report_steps(const json_t *got, const json_t *expected, struct tolerance tolerance)
{
    bool good = true, more = json_is_array(json_array_get(json_array_get(expected, 0), 0));
    for (size_t t = 0; more && t < MAX_LISTED_STEPS; t++) {
        struct worst worst = {0};
        char name[48];
        more = false;
        for (size_t b = 0; b < json_array_size(expected); b++) {
            const json_t *want = json_array_get(json_array_get(expected, b), t);
            if (!want)
                continue;
            more = true;
            compare(json_array_get(json_array_get(got, b), t), want, tolerance, &worst);
        }
        snprintf(name, sizeof name, "  timestep %zu", t);
        if (more)
            good &= report(name, &worst);
    }
    return good;
}

static bool compare_all(const json_t *got, const json_t *expected, struct tolerance tolerance)
{
    const json_t *outputs = json_is_array(expected) ? expected : json_object_get(expected, "outputs");
    const json_t *states = json_object_get(expected, "states"), *got_states = json_object_get(got, "states");
    const json_t *got_outputs = json_object_get(got, "outputs");
    bool good = outputs || states;
    if (!outputs && !states)
        fprintf(stderr, "the expected file has neither \"outputs\" nor \"states\"\n");
    if (outputs) {
        struct worst worst = {0};
        compare(got_outputs, outputs, tolerance, &worst);
        good &= report("outputs", &worst);
        good &= report_steps(got_outputs, outputs, tolerance);
    }
    for (size_t i = 0; i < json_array_size(states); i++) {
        struct worst worst = {0};
        char name[48];
        compare(json_array_get(got_states, i), json_array_get(states, i), tolerance, &worst);
        snprintf(name, sizeof name, "states of cell %zu", i);
        good &= report(name, &worst);
    }
    return good;
}

static int verify(struct local *local, const char *inputs_path, const char *expected_path, struct tolerance tolerance)
{
    json_t *inputs = load(inputs_path), *expected = inputs ? load(expected_path) : NULL, *got = NULL;
    json_t *body = json_is_array(inputs) ? json_pack("{s:O}", "instances", inputs) : json_incref(inputs);
    char *text = expected && body ? json_dumps(body, JSON_COMPACT) : NULL;
    bool good = false;
    if (text) {
        local_answer(local, text, strlen(text));
        got = json_loadb(local->request.text, local->request.text_bytes, 0, NULL);
        if (local->request.status == 200 && got)
            good = compare_all(got, expected, tolerance);
        else
            fprintf(stderr, "%s: %.*s", inputs_path, (int)local->request.text_bytes, local->request.text);
        printf("%s (rtol %g, atol %g)\n", good ? "within the tolerance" : "OUTSIDE the tolerance", tolerance.relative,
               tolerance.absolute);
    }
    json_decref(got);
    json_decref(body);
    json_decref(expected);
    json_decref(inputs);
    return good ? EXIT_GOOD : EXIT_BAD_INPUT;
}

static bool read_tolerance(const char *flag, const char *text, double *out)
{
    char *end;
    if (!text)
        return true;
    *out = strtod(text, &end);
    if (end != text && !*end && *out >= 0 && isfinite(*out))
        return true;
    fprintf(stderr, "%s: expected a number of at least 0, found \"%s\"\n", flag, text);
    return false;
}

int command_verify(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    struct local local;
    const char *inputs = NULL, *expected = NULL, *rtol = NULL, *atol_text = NULL;
    const struct cli_flag flags[] = {
        {"--inputs", &inputs}, {"--expected", &expected}, {"--rtol", &rtol}, {"--atol", &atol_text}, {NULL, NULL}};
    struct tolerance tolerance = {1e-5, 1e-6};
    int code = cli_read(&cli, command, flags, argc, argv);
    if (code < 0 && (!inputs || !expected))
        code = cli_bad_usage(command, "--inputs and --expected are needed", NULL);
    if (code < 0 && (!read_tolerance("--rtol", rtol, &tolerance.relative) ||
                     !read_tolerance("--atol", atol_text, &tolerance.absolute)))
        code = EXIT_BAD_USAGE;
    if (code < 0) {
        code = local_open(&local, &cli, command);
        if (code == EXIT_GOOD)
            code = verify(&local, inputs, expected, tolerance);
        local_close(&local);
    }
    cli_close(&cli);
    return code;
}
