/* Keys of a transform, one after the other; each is checked against the model at once. */
#include "transform.h"

#include "config/json_memory.h"
#include "config/json_type.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const known_keys[] = {"features", "input_scaler", "output_scaler", "feedback", "labels",
                                         "missing",  "tokenizer",    "pad",           NULL};

struct reading {
    struct transform *out;
    const struct transform_place *place;
    const struct transform_ports *ports;
    struct problems *problems;
    const char *key;
    json_t *shown;
    bool good;
};

static struct place place_of(const struct reading *r, char path[200])
{
    snprintf(path, 200, "%.120s/%.60s", r->place->place.path ? r->place->place.path : "", r->key);
    return (struct place){r->place->place.file, path};
}

static bool fail(struct reading *r, const char *sentence, const char *what)
{
    char path[200];
    problem_error(r->problems, place_of(r, path), sentence, what);
    return r->good = false;
}

static bool out_of_memory(struct reading *r)
{
    return fail(r, "out of memory%s", "");
}

/* Sizes that differ; is: "the scaler has 3 columns". */
static bool misfit(struct reading *r, const char *what, size_t found, const char *ours,
                   const struct transform_port *port, size_t wanted)
{
    char path[200];
    problem_error(r->problems, place_of(r, path), "%s %zu %s, but \"%.60s\" of the model has %zu", what, found, ours,
                  port->name, wanted);
    return r->good = false;
}

/* A path within the folder, as it can be opened. */
static bool inner_path(struct reading *r, const char *path, char out[PATH_MAX])
{
    for (const char *at = path; *at; at += strcspn(at, "/"), at += *at == '/')
        if (!strncmp(at, "..", 2) && (!at[2] || at[2] == '/'))
            return fail(r, "the path \"%.200s\" leads out of the folder; put the file beside", path);
    if (*path == '/' || !*path)
        return fail(r, "expected a path relative to the folder, found \"%.200s\"", path);
    return snprintf(out, PATH_MAX, "%s/%s", r->place->folder, path) < PATH_MAX ||
           fail(r, "the path \"%.60s…\" is too long", path);
}

/* ---- values by the name of an input or output ---- */

/* Reads one value for a port; text is what is shown for it. */
typedef bool read_value(struct reading *r, const json_t *value, size_t port, json_t **shown);

static size_t port_named(const struct transform_port *ports, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(ports[i].name, name))
            return i;
    return n;
}

/* A value that stands for the one port; or, where `by_name`, an object of values by the names of ports. */
static void read_ports(struct reading *r, const json_t *value, bool outputs, bool by_name, read_value *read)
{
    const struct transform_port *ports = outputs ? r->ports->outputs : r->ports->inputs;
    size_t n = outputs ? r->ports->n_outputs : r->ports->n_inputs;
    json_t *shown = NULL;
    if (!by_name && n != 1) {
        char text[64];
        snprintf(text, sizeof text, "%zu %s", n, outputs ? "outputs" : "inputs");
        fail(r, "the model has %s: expected an object, a value by the name of each", text);
        return;
    }
    if (!by_name) {
        read(r, value, 0, &shown);
        if (shown)
            json_object_set_new(r->shown, r->key, shown);
        return;
    }
    const char *name;
    json_t *one, *all = json_object();
    json_object_foreach((json_t *)(uintptr_t)value, name, one) {
        size_t i = port_named(ports, n, name);
        shown = NULL;
        if (i == n)
            fail(r, outputs ? "the model has no output named \"%.60s\"" : "the model has no input named \"%.60s\"",
                 name);
        else
            read(r, one, i, &shown);
        if (shown)
            json_object_set_new(all, name, shown);
    }
    json_object_set_new(r->shown, r->key, all);
}

/* ---- scalers ---- */

/* Raw values that are usual, [[low, high], …] by column: one unit of the model to both sides of the middle where the scaler
   divides, else the range that it was fitted on. NULL where there are too many columns to show. */
static json_t *usual_range(const struct rnn_scaler *scaler)
{
    enum { MOST_SHOWN = 64 };
    bool divides = scaler->form == SCALER_DIVIDES;
    json_t *range = scaler->n <= MOST_SHOWN ? json_array() : NULL;
    for (size_t i = 0; range && i < scaler->n; i++) {
        double low = !divides && scaler->least ? scaler->least[i] : rnn_scaler_invert(scaler, i, divides ? -1 : 0);
        double high = !divides && scaler->most ? scaler->most[i] : rnn_scaler_invert(scaler, i, 1);
        json_array_append_new(range, json_pack("[f, f]", low, high));
    }
    return range;
}

static bool read_scaler(struct reading *r, const json_t *value, const struct transform_port *port, const char *ours,
                        struct rnn_scaler *out, json_t **shown)
{
    char path[PATH_MAX], at[200];
    json_t *json = json_incref((json_t *)(uintptr_t)value);
    struct place place = place_of(r, at);
    if (json_is_string(value)) {
        json_decref(json);
        if (!inner_path(r, json_string_value(value), path))
            return false;
        if (!(json = scaler_file_read(path, r->problems)))
            return r->good = false;
        place = (struct place){path, NULL};
    }
    bool good = scaler_read(json, place, r->problems, out);
    r->good &= good;
    if (good)
        *shown = json_pack("{s:s, s:I, s:o*}", "class_name", scaler_class(json), "columns", (json_int_t)out->n, "range",
                           usual_range(out));
    if (good && json_is_string(value))
        json_object_set(*shown, "file", (json_t *)(uintptr_t)value);
    json_decref(json);
    if (good && out->n != port->width)
        return misfit(r, "the scaler has", out->n, ours, port, port->width);
    return good;
}

static bool read_input_scaler(struct reading *r, const json_t *value, size_t i, json_t **shown)
{
    struct transform_input *input = &r->out->inputs[i];
    if (r->ports->inputs[i].vocabulary)
        return fail(r, "\"%.60s\" of the model takes ids, which cannot be scaled", r->ports->inputs[i].name);
    if (!read_scaler(r, value, &r->ports->inputs[i], "columns", &input->scaler, shown))
        return false;
    input->drift = drift_new(input->scaler.n);
    return input->drift || out_of_memory(r);
}

static bool read_output_scaler(struct reading *r, const json_t *value, size_t i, json_t **shown)
{
    return read_scaler(r, value, &r->ports->outputs[i], "columns", &r->out->outputs[i].scaler, shown);
}

static bool is_map_of_scalers(const json_t *value)
{
    return json_is_object(value) && !scaler_is(value);
}

/* ---- names ---- */

static void close_names(char **names, size_t n)
{
    for (size_t i = 0; names && i < n; i++)
        free(names[i]);
    free(names);
}

/* A list of different texts. NULL with a problem added. */
static char **read_names(struct reading *r, const json_t *list, size_t *n)
{
    *n = json_array_size(list);
    char **names = *n ? calloc(*n, sizeof *names) : NULL;
    if (!names) {
        fail(r, "expected a list of names%s", "");
        return NULL;
    }
    for (size_t i = 0; i < *n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        for (size_t k = 0; name && k < i; k++)
            if (!strcmp(names[k], name)) {
                fail(r, "the name \"%.60s\" stands in the list twice", name);
                close_names(names, *n);
                return NULL;
            }
        if (!name || !(names[i] = strdup(name))) {
            fail(r, "expected a list of names%s", "");
            close_names(names, *n);
            return NULL;
        }
    }
    return names;
}

static bool read_features(struct reading *r, const json_t *value, size_t i, json_t **shown)
{
    struct transform_input *input = &r->out->inputs[i];
    const struct transform_port *port = &r->ports->inputs[i];
    size_t n;
    char **names = read_names(r, value, &n);
    if (!names)
        return false;
    input->features = names;
    input->n_features = n;
    *shown = json_incref((json_t *)(uintptr_t)value);
    return n == port->width || misfit(r, "there are", n, "features", port, port->width);
}

size_t transform_feature(const struct transform_input *input, const char *name, size_t bytes)
{
    size_t i = 0;
    while (i < input->n_features && (strncmp(input->features[i], name, bytes) || input->features[i][bytes]))
        i++;
    return i;
}

static bool read_labels(struct reading *r, const json_t *value, size_t i, json_t **shown)
{
    struct transform_output *output = &r->out->outputs[i];
    const struct transform_port *port = &r->ports->outputs[i];
    size_t n;
    char **names = read_names(r, value, &n);
    if (!names)
        return false;
    output->labels = names;
    output->n_labels = n;
    output->probability = port->probability;
    *shown = json_incref((json_t *)(uintptr_t)value);
    if (port->width == 1 && n == 2)
        return port->sigmoid ||
               fail(r, "two labels for one output need a sigmoid as the activation of \"%.60s\"", port->name);
    return n == port->width || misfit(r, "there are", n, "labels", port, port->width);
}

static void read_tokenizer(struct reading *r, const json_t *value)
{
    struct tokenizer *t = &r->out->tokenizer;
    char path[PATH_MAX], at[200], text[64];
    size_t i = 0;
    while (i < r->ports->n_inputs && !r->ports->inputs[i].vocabulary)
        i++;
    if (i == r->ports->n_inputs) {
        fail(r, "the model has no input of ids (an Embedding) that a tokenizer could be of%s", "");
        return;
    }
    bool good = json_is_string(value)
                    ? inner_path(r, json_string_value(value), path) && tokenizer_file_read(path, r->problems, t)
                    : tokenizer_read(value, place_of(r, at), r->problems, t);
    r->good &= good;
    if (!good)
        return;
    for (size_t k = i; k < r->ports->n_inputs; k++)
        r->out->inputs[k].tokens = r->ports->inputs[k].vocabulary > 0;
    size_t largest = t->below && t->below - 1 < t->largest ? t->below - 1 : t->largest;
    if (largest >= r->ports->inputs[i].vocabulary)
        misfit(r, "the tokenizer has ids up to", largest, "(from 0)", &r->ports->inputs[i],
               r->ports->inputs[i].vocabulary);
    snprintf(text, sizeof text, "%zu words%s", t->n, t->characters ? ", each a character" : "");
    json_object_set_new(r->shown, r->key, json_string(text));
}

/* "pre" or "post" */
static bool read_side(struct reading *r, const json_t *pad, const char *key, bool *post)
{
    const json_t *value = json_object_get(pad, key);
    const char *text = json_string_value(value);
    *post = text && !strcmp(text, "post");
    if (!value || *post || (text && !strcmp(text, "pre")))
        return true;
    return fail(r, "expected \"pre\" or \"post\" for \"%.20s\"", key);
}

static void read_pad(struct reading *r, const json_t *value)
{
    static const char *const keys[] = {"length", "side", "truncate", "value", NULL};
    struct transform_pad *pad = &r->out->pad;
    const json_t *length = json_object_get(value, "length"), *number = json_object_get(value, "value");
    const struct transform_port *port = &r->ports->inputs[0];
    const char *key;
    json_t *one;
    json_object_foreach((json_t *)(uintptr_t)value, key, one) {
        char text[160], hint[100];
        snprintf(text, sizeof text, "\"%.40s\"%s", key, nearest_hint(key, keys, hint, sizeof hint));
        if (nearest_word(key, keys) ? strcmp(nearest_word(key, keys), key) : 1)
            fail(r, "unknown key %s", text);
    }
    if (!json_is_integer(length) || json_integer_value(length) < 1 || json_integer_value(length) > 1 << 24) {
        fail(r, "expected an object with a \"length\", a whole number of at least 1%s", "");
        return;
    }
    if (!read_side(r, value, "side", &pad->after) || !read_side(r, value, "truncate", &pad->cut_after))
        return;
    pad->length = (size_t)json_integer_value(length);
    pad->value = json_number_value(number);
    if (number && !json_is_number(number))
        fail(r, "expected a number as the \"value\"%s", "");
    if (!port->sequence)
        fail(r, "\"%.60s\" of the model takes no sequences", port->name);
    else if (port->timesteps && port->timesteps != pad->length)
        misfit(r, "sequences are padded to", pad->length, "timesteps", port, port->timesteps);
    else if (port->vocabulary && !(pad->value >= 0 && pad->value < (double)port->vocabulary))
        fail(r, "the \"value\" is no id of \"%.60s\" of the model", port->name);
    json_object_set(r->shown, r->key, (json_t *)(uintptr_t)value);
}

static void read_missing(struct reading *r, const json_t *value)
{
    const char *text = json_string_value(value);
    if (json_is_number(value) && isfinite(json_number_value(value))) {
        r->out->missing = MISSING_NUMBER;
        r->out->missing_value = json_number_value(value);
    } else if (text && !strcmp(text, "last")) {
        r->out->missing = MISSING_LAST;
    } else if (!text || strcmp(text, "error")) {
        fail(r, "expected \"last\", a number, or \"error\"%s", "");
        return;
    }
    json_object_set(r->shown, r->key, (json_t *)(uintptr_t)value);
}

/* ---- feedback ---- */

/* A whole number as text; false where it is none. */
static bool read_index(const char *text, size_t *out)
{
    size_t digits = strspn(text, "0123456789");
    if (!digits || digits > 9 || text[digits])
        return false;
    *out = strtoul(text, NULL, 10);
    return true;
}

/* The feature that a value names: by its name, or by its number. */
static bool find_feature(struct reading *r, const json_t *value, size_t *out)
{
    const struct transform_input *input = &r->out->inputs[0];
    const char *name = json_string_value(value);
    *out = SIZE_MAX;
    if (json_is_integer(value) && json_integer_value(value) >= 0)
        *out = (size_t)json_integer_value(value);
    else if (name && (*out = transform_feature(input, name, strlen(name))) == input->n_features)
        *out = read_index(name, out) ? *out : SIZE_MAX;
    if (*out < r->ports->inputs[0].width)
        return true;
    return fail(r, "there is no feature \"%.60s\"", name ? name : "of this number");
}

/* The output that a key names: by its number, or by its label. */
static bool find_output(struct reading *r, const char *key, size_t *out)
{
    const struct transform_output *output = &r->out->outputs[0];
    for (size_t i = 0; i < output->n_labels && output->n_labels == r->out->n_feedback; i++)
        if (!strcmp(output->labels[i], key)) {
            *out = i;
            return true;
        }
    return (read_index(key, out) && *out < r->out->n_feedback) ||
           fail(r, "the model's output has no number \"%.60s\"", key);
}

static void read_feedback(struct reading *r, const json_t *value)
{
    const char *key;
    json_t *one;
    struct transform *t = r->out;
    if (!json_is_object(value) || r->ports->n_inputs != 1 || r->ports->n_outputs != 1) {
        fail(r, "expected an object {\"0\": \"feature\"} for a model of one input and one output%s", "");
        return;
    }
    t->n_feedback = r->ports->outputs[0].width;
    if (!(t->feedback = calloc(t->n_feedback, sizeof *t->feedback))) {
        out_of_memory(r);
        return;
    }
    for (size_t i = 0; i < t->n_feedback; i++)
        t->feedback[i] = SIZE_MAX;
    json_object_foreach((json_t *)(uintptr_t)value, key, one) {
        size_t output = 0, feature = 0;
        if (!find_output(r, key, &output) || !find_feature(r, one, &feature))
            continue;
        for (size_t i = 0; i < t->n_feedback; i++)
            if (t->feedback[i] == feature)
                fail(r, "two outputs become the same feature%s", "");
        t->feedback[output] = feature;
    }
    json_object_set(r->shown, r->key, (json_t *)(uintptr_t)value);
}

/* ---- the whole ---- */

static void check_keys(struct reading *r, const json_t *json)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)json, key, value) {
        size_t i = 0;
        char hint[100];
        while (known_keys[i] && strcmp(known_keys[i], key))
            i++;
        r->key = key;
        if (!known_keys[i])
            fail(r, "unknown key%s", nearest_hint(key, known_keys, hint, sizeof hint));
    }
}

static const json_t *next_key(struct reading *r, const json_t *json, const char *key)
{
    const json_t *value = json_object_get(json, key);
    r->key = key;
    return json_is_null(value) ? NULL : value;
}

static void read_keys(struct reading *r, const json_t *json)
{
    const json_t *value;
    if ((value = next_key(r, json, "features")))
        read_ports(r, value, false, json_is_object(value), read_features);
    if ((value = next_key(r, json, "input_scaler")))
        read_ports(r, value, false, is_map_of_scalers(value), read_input_scaler);
    if ((value = next_key(r, json, "output_scaler")))
        read_ports(r, value, true, is_map_of_scalers(value), read_output_scaler);
    if ((value = next_key(r, json, "labels")))
        read_ports(r, value, true, json_is_object(value), read_labels);
    if ((value = next_key(r, json, "missing")))
        read_missing(r, value);
    if ((value = next_key(r, json, "tokenizer")))
        read_tokenizer(r, value);
    if ((value = next_key(r, json, "pad")))
        read_pad(r, value);
    if ((value = next_key(r, json, "feedback")))
        read_feedback(r, value);
}

static void check_combinations(struct reading *r)
{
    const struct transform *t = r->out;
    r->key = "labels";
    for (size_t i = 0; i < t->n_outputs; i++)
        if (t->outputs[i].n_labels && t->outputs[i].scaler.n)
            fail(r, "\"%.60s\" of the model has both labels and an output scaler; a class is not scaled",
                 r->ports->outputs[i].name);
}

bool transform_read(const json_t *json, const struct transform_place *place, const struct transform_ports *ports,
                    struct problems *problems, struct transform *out)
{
    struct reading r = {.out = out,
                        .place = place,
                        .ports = ports,
                        .problems = problems,
                        .key = "",
                        .shown = json_object(),
                        .good = true};
    *out = (struct transform){.n_inputs = ports->n_inputs, .n_outputs = ports->n_outputs};
    out->inputs = calloc(ports->n_inputs + 1, sizeof *out->inputs);
    out->outputs = calloc(ports->n_outputs + 1, sizeof *out->outputs);
    if (!json_is_object(json)) {
        problem_error(problems, place->place, "expected a transform, an object; found %s", json_type_name(json));
        r.good = false;
    } else if (!out->inputs || !out->outputs) {
        out_of_memory(&r);
    } else {
        check_keys(&r, json);
        read_keys(&r, json);
        if (r.good)
            check_combinations(&r);
    }
    char *text = r.good ? json_dumps(r.shown, JSON_COMPACT) : NULL;
    if (r.good && !(out->shown = text ? strdup(text) : NULL))
        out_of_memory(&r);
    json_memory_free(text);
    json_decref(r.shown);
    if (!r.good)
        transform_close(out);
    return r.good;
}

void transform_close(struct transform *t)
{
    for (size_t i = 0; t->inputs && i < t->n_inputs; i++) {
        rnn_scaler_close(&t->inputs[i].scaler);
        drift_free(t->inputs[i].drift);
        close_names(t->inputs[i].features, t->inputs[i].n_features);
    }
    for (size_t i = 0; t->outputs && i < t->n_outputs; i++) {
        rnn_scaler_close(&t->outputs[i].scaler);
        close_names(t->outputs[i].labels, t->outputs[i].n_labels);
    }
    free(t->inputs);
    free(t->outputs);
    free(t->feedback);
    free(t->shown);
    tokenizer_close(&t->tokenizer);
    *t = (struct transform){.n_inputs = 0};
}
