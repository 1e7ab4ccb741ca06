/* verify: compares a model's answer with the answer of the framework, number by number. */
#include "config/files/archive.h"
#include "config/files/npy.h"
#include "config/json_memory.h"
#include "config/json_type.h"
#include "local.h"
#include "terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_FILE_BYTES = 1 << 30, MAX_LISTED_STEPS = 1000 };

struct tolerance {
    double relative, absolute;
};

/* The largest difference in some numbers. */
struct worst {
    double difference, expected, got;
    size_t numbers, outside;
    bool shapes_differ;
    char got_shape[80], expected_shape[80]; /* the shapes, if they differ */
};

/* The dimensions from d on of a row-major array as nested lists. *at is the next element. */
static json_t *lists(const struct named_tensor *t, size_t d, size_t *at)
{
    if (d == t->rank) {
        double value = tensor_element(t, (*at)++);
        return tensor_is_float(t) ? json_real(value) : json_integer((json_int_t)value);
    }
    json_t *list = json_array();
    for (size_t i = 0; i < t->shape[d]; i++)
        json_array_append_new(list, lists(t, d + 1, at));
    return list;
}

static json_t *npy_to_json(const unsigned char *bytes, size_t n, const char **wrong)
{
    struct npy_array array;
    size_t at = 0;
    if ((*wrong = npy_read(bytes, n, &array)))
        return NULL;
    unsigned char *turned = array.fortran ? malloc(array.tensor.elements * array.width + 1) : NULL;
    if (array.fortran && !turned) {
        *wrong = "out of memory";
        return NULL;
    }
    if (turned) {
        npy_to_row_major(&array, turned);
        array.tensor.data = turned;
    }
    json_t *json = lists(&array.tensor, 0, &at);
    free(turned);
    return json;
}

/* One named array of an archive. */
static json_t *array_named(const struct tensor_set *set, const char *name)
{
    size_t at = 0;
    const struct named_tensor *found = tensor_set_find(set, name);
    return found ? lists(found, 0, &at) : NULL;
}

/* The arrays of an archive. Without names, the first array is the outputs (or instances) and the others are the states.
   With names, they are "instances", "mask", "outputs", "state.0.h", "state.0.c", … */
static json_t *npz_to_json(const struct tensor_set *set)
{
    json_t *object = json_object(), *states = json_array();
    static const char *const names[] = {"instances", "mask", "outputs"};
    const char *naming = tensor_set_text(set, "naming");
    bool positional = set->n == 1 || (naming && !strcmp(naming, "position"));
    size_t at = 0;
    if (positional)
        json_object_set_new(object, "outputs", set->n ? lists(&set->tensors[0], 0, &at) : json_null());
    for (size_t i = 1; positional && i < set->n; i++) {
        at = 0;
        json_array_append_new(states, lists(&set->tensors[i], 0, &at));
    }
    for (size_t i = 0; !positional && i < 3; i++) {
        json_t *array = array_named(set, names[i]);
        if (array)
            json_object_set_new(object, names[i], array);
    }
    for (size_t l = 0, found = 1; !positional && found; l++) {
        found = 0;
        for (size_t k = 0; k < 2; k++) {
            char name[48];
            snprintf(name, sizeof name, "state.%zu.%c", l, "hc"[k]);
            json_t *array = array_named(set, name);
            found += array != NULL;
            if (array)
                json_array_append_new(states, array);
        }
    }
    if (json_array_size(states))
        json_object_set(object, "state_tensors", states);
    json_decref(states);
    return object;
}

/* A .npz file, read by the confined helper. */
static json_t *load_npz(const char *path)
{
    struct tensor_set set;
    struct problems problems = {.n_errors = 0};
    json_t *json = NULL;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && archive_open(&set, fd, path, &problems)) {
        json = npz_to_json(&set);
        tensor_set_close(&set);
    }
    if (fd >= 0)
        close(fd);
    cli_problems(&problems);
    problems_close(&problems);
    return json;
}

/* Read a JSON, npy or npz file as JSON. Returns NULL with a message on stderr. */
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
    json_t *json = NULL;
    const unsigned char *raw = (const unsigned char *)text;
    bool npz = archive_is(raw, bytes);
    if (npz)
        json = load_npz(path);
    else
        json = npy_is(raw, bytes) ? npy_to_json(raw, bytes, &wrong)
                                  : json_memory_load(text, bytes, JSON_DECODE_ANY, &error);
    if (!json && wrong)
        fprintf(stderr, "%s: %s\n", path, wrong);
    else if (!json && !npz)
        fprintf(stderr, "%s: line %d, column %d: %s (expected JSON, .npy or .npz)\n", path, error.line, error.column,
                error.text);
    free(text);
    return json;
}

/* "[2, 10]" of nested lists, by their first elements; "a number", "nothing". */
static void nested_shape(const json_t *value, char *out, size_t size)
{
    size_t n = 0;
    if (!json_is_array(value)) {
        snprintf(out, size, "%s", !value ? "nothing" : json_is_number(value) ? "a number" : json_type_name(value));
        return;
    }
    for (; json_is_array(value) && n + 24 < size; value = json_array_get(value, 0))
        n += (size_t)snprintf(out + n, size - n, "%s%zu", n ? ", " : "[", json_array_size(value));
    snprintf(out + n, size - n, "]");
}

static void shapes_differ(const json_t *got, const json_t *expected, struct worst *worst)
{
    if (!worst->shapes_differ) {
        nested_shape(got, worst->got_shape, sizeof worst->got_shape);
        nested_shape(expected, worst->expected_shape, sizeof worst->expected_shape);
    }
    worst->shapes_differ = true;
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
        shapes_differ(got, expected, worst);
    }
}

/* Compares whole tensors. If the shapes differ, the report has both shapes, otherwise the largest difference. */
static void compare_tensors(const json_t *got, const json_t *expected, struct tolerance tolerance, struct worst *worst)
{
    struct worst whole = {0};
    bool differed = worst->shapes_differ;
    compare(got, expected, tolerance, worst);
    shapes_differ(got, expected, &whole);
    if (!differed && worst->shapes_differ && strcmp(whole.got_shape, whole.expected_shape)) {
        memcpy(worst->got_shape, whole.got_shape, sizeof whole.got_shape);
        memcpy(worst->expected_shape, whole.expected_shape, sizeof whole.expected_shape);
    }
}

/* Print one line of the report. Returns whether the numbers are within the tolerance. */
static bool report(const char *name, const struct worst *worst)
{
    if (worst->shapes_differ) {
        printf("%-28s %sshapes differ:%s got %s, expected %s\n", name, terminal_style(stdout, STYLE_RED),
               terminal_style(stdout, STYLE_PLAIN), worst->got_shape, worst->expected_shape);
        return false;
    }
    printf("%-28s %10zu numbers, largest difference %.3g (%.9g, expected %.9g), %zu outside\n", name, worst->numbers,
           worst->difference, worst->got, worst->expected, worst->outside);
    return !worst->outside;
}

/* Timestep t of every sequence that is long enough. */
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
            compare_tensors(json_array_get(json_array_get(got, b), t), want, tolerance, &worst);
        }
        snprintf(name, sizeof name, "  timestep %zu", t);
        if (more)
            good &= report(name, &worst);
    }
    return good;
}

/* Every [batch][units] of nested states, in order. */
static void flatten_states(json_t *states, json_t *out)
{
    size_t i;
    json_t *entry;
    if (json_is_number(json_array_get(json_array_get(states, 0), 0)))
        json_array_append(out, states);
    else
        json_array_foreach(states, i, entry)
            flatten_states(entry, out);
}

static bool compare_list(const char *what, const json_t *got, const json_t *expected, struct tolerance tolerance)
{
    bool good = true;
    for (size_t i = 0; i < json_array_size(expected); i++) {
        struct worst worst = {0};
        char name[48];
        compare_tensors(json_array_get(got, i), json_array_get(expected, i), tolerance, &worst);
        snprintf(name, sizeof name, "%s %zu", what, i);
        good &= report(name, &worst);
    }
    return good;
}

/* Compares one output. name is "" if the model has one output. */
static bool compare_output(const char *name, const json_t *got, const json_t *expected, struct tolerance tolerance)
{
    struct worst worst = {0};
    char title[80];
    snprintf(title, sizeof title, "outputs%s%.60s", *name ? " " : "", name);
    compare_tensors(got, expected, tolerance, &worst);
    bool good = report(title, &worst);
    return report_steps(got, expected, tolerance) && good;
}

/* Compares outputs by name if both have names. A single expected tensor is compared with the first output. */
static bool compare_outputs(json_t *got, json_t *expected, struct tolerance tolerance)
{
    bool good = true;
    const char *name;
    json_t *each;
    if (json_is_object(expected)) {
        json_object_foreach(expected, name, each)
            good &= compare_output(name, json_is_object(got) ? json_object_get(got, name) : NULL, each, tolerance);
        return good;
    }
    if (json_is_object(got))
        got = json_object_iter_value(json_object_iter(got));
    return compare_output("", got, expected, tolerance);
}

static bool compare_all(const json_t *got, json_t *expected, struct tolerance tolerance)
{
    json_t *outputs = json_is_array(expected) ? expected : json_object_get(expected, "outputs");
    const json_t *states = json_object_get(expected, "states"), *tensors = json_object_get(expected, "state_tensors");
    json_t *flat = json_array();
    bool good = outputs || states || tensors;
    if (!good)
        fprintf(stderr, "the expected file has neither \"outputs\" nor \"states\"\n");
    if (outputs)
        good &= compare_outputs(json_object_get(got, "outputs"), outputs, tolerance);
    flatten_states(json_object_get(got, "states"), flat);
    good &= compare_list("states of cell", json_object_get(got, "states"), states, tolerance);
    good &= compare_list("state tensor", flat, tensors, tolerance);
    json_decref(flat);
    return good;
}

/* The body of a request. If the file has a single array, it is the instances. */
static json_t *body_of(json_t *inputs)
{
    json_t *alone = json_is_array(inputs) ? inputs : json_object_get(inputs, "outputs"); /* the archive's first array */
    if (alone && !json_object_get(inputs, "instances"))
        return json_pack("{s:O}", "instances", alone);
    return json_incref(inputs);
}

static int verify(struct local *local, const char *inputs_path, const char *expected_path, struct tolerance tolerance)
{
    json_t *inputs = load(inputs_path), *expected = inputs ? load(expected_path) : NULL, *got = NULL;
    json_t *body = inputs ? body_of(inputs) : NULL;
    char *dumped = expected && body ? json_dumps(body, JSON_COMPACT) : NULL;
    char *text = dumped ? strdup(dumped) : NULL; /* the request frees it */
    json_memory_free(dumped);
    bool good = false;
    if (text) {
        terminal_progress("computing ...");
        local_answer(local, text, strlen(text));
        terminal_progress_end();
        got = json_memory_load(local->request.answer.text, local->request.answer.text_bytes, 0, NULL);
        if (local->request.answer.status == 200 && got)
            good = compare_all(got, expected, tolerance);
        else
            fprintf(stderr, "%s: %.*s", inputs_path, (int)local->request.answer.text_bytes, local->request.answer.text);
        printf("%s%s%s (rtol %g, atol %g)\n", terminal_style(stdout, good ? STYLE_GREEN : STYLE_RED),
               good ? "within the tolerance" : "OUTSIDE the tolerance", terminal_style(stdout, STYLE_PLAIN),
               tolerance.relative, tolerance.absolute);
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
