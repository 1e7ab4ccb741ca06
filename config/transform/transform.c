/* Reads the keys of a transform, and checks each of them against the model. */
#include "transform_reading.h"

#include "config/json_memory.h"
#include "config/json_type.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const known_keys[] = {"features", "input_scaler", "output_scaler", "feedback", "labels",
                                         "missing",  "tokenizer",    "pad",           NULL};

struct place transform_place_of(const struct reading *r, char path[200])
{
    snprintf(path, 200, "%.120s/%.60s", r->place->place.path ? r->place->place.path : "", r->key);
    return (struct place){r->place->place.file, path};
}

bool transform_fail(struct reading *r, const char *sentence, const char *what)
{
    char path[200];
    problem_error(r->problems, transform_place_of(r, path), sentence, what);
    return r->good = false;
}

bool transform_out_of_memory(struct reading *r)
{
    return transform_fail(r, "out of memory%s", "");
}

bool transform_misfit(struct reading *r, const char *what, size_t found, const char *ours,
                      const struct transform_port *port, size_t wanted)
{
    char path[200];
    problem_error(r->problems, transform_place_of(r, path), "%s %zu %s, but \"%.60s\" of the model has %zu", what,
                  found, ours, port->name, wanted);
    return r->good = false;
}

bool transform_path(struct reading *r, const char *path, char out[PATH_MAX])
{
    for (const char *at = path; *at; at += strcspn(at, "/"), at += *at == '/')
        if (!strncmp(at, "..", 2) && (!at[2] || at[2] == '/'))
            return transform_fail(r, "the path \"%.200s\" leads out of the folder; put the file into the folder", path);
    if (*path == '/' || !*path)
        return transform_fail(r, "expected a path relative to the folder, found \"%.200s\"", path);
    return snprintf(out, PATH_MAX, "%s/%s", r->place->folder, path) < PATH_MAX ||
           transform_fail(r, "the path \"%.60s…\" is too long", path);
}

/* ---- values by the name of an input or output ---- */

/* Reads one value for a port. *shown becomes the text for users. */
typedef bool read_value(struct reading *r, const json_t *value, size_t port, json_t **shown);

static size_t port_named(const struct transform_port *ports, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++)
        if (!strcmp(ports[i].name, name))
            return i;
    return n;
}

/* Read the value of the only port; or, with by_name, an object with one value for each named port. */
static void read_ports(struct reading *r, const json_t *value, bool outputs, bool by_name, read_value *read)
{
    const struct transform_port *ports = outputs ? r->ports->outputs : r->ports->inputs;
    size_t n = outputs ? r->ports->n_outputs : r->ports->n_inputs;
    json_t *shown = NULL;
    if (!by_name && n != 1) {
        char text[64];
        snprintf(text, sizeof text, "%zu %s", n, outputs ? "outputs" : "inputs");
        transform_fail(r, "the model has %s: expected an object with a value for each name", text);
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
            transform_fail(
                r, outputs ? "the model has no output named \"%.60s\"" : "the model has no input named \"%.60s\"",
                name);
        else
            read(r, one, i, &shown);
        if (shown)
            json_object_set_new(all, name, shown);
    }
    json_object_set_new(r->shown, r->key, all);
}

/* ---- scalers ---- */

/* The usual raw values of each column, [[low, high], …]. If the scaler divides: the offset minus and plus one scale.
   Otherwise: the range on which the scaler was fitted. Returns NULL if there are too many columns to show. */
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
    struct place place = transform_place_of(r, at);
    if (json_is_string(value)) {
        json_decref(json);
        if (!transform_path(r, json_string_value(value), path))
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
        return transform_misfit(r, "the scaler has", out->n, ours, port, port->width);
    return good;
}

static bool read_input_scaler(struct reading *r, const json_t *value, size_t i, json_t **shown)
{
    struct transform_input *input = &r->out->inputs[i];
    if (r->ports->inputs[i].vocabulary)
        return transform_fail(r, "\"%.60s\" of the model takes ids, which cannot be scaled", r->ports->inputs[i].name);
    if (!read_scaler(r, value, &r->ports->inputs[i], "columns", &input->scaler, shown))
        return false;
    input->drift = drift_new(input->scaler.n);
    return input->drift || transform_out_of_memory(r);
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

/* Read a list of different names. Returns NULL with a problem added. */
static char **read_names(struct reading *r, const json_t *list, size_t *n)
{
    *n = json_array_size(list);
    char **names = *n ? calloc(*n, sizeof *names) : NULL;
    if (!names) {
        transform_fail(r, "expected a list of names%s", "");
        return NULL;
    }
    for (size_t i = 0; i < *n; i++) {
        const char *name = json_string_value(json_array_get(list, i));
        for (size_t k = 0; name && k < i; k++)
            if (!strcmp(names[k], name)) {
                transform_fail(r, "the name \"%.60s\" is in the list twice", name);
                close_names(names, *n);
                return NULL;
            }
        if (!name || !(names[i] = strdup(name))) {
            transform_fail(r, "expected a list of names%s", "");
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
    return n == port->width || transform_misfit(r, "there are", n, "features", port, port->width);
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
               transform_fail(r, "two labels for one number need a sigmoid as the activation of \"%.60s\"", port->name);
    return n == port->width || transform_misfit(r, "there are", n, "labels", port, port->width);
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
        transform_fail(r, "expected \"last\", a number, or \"error\"%s", "");
        return;
    }
    json_object_set(r->shown, r->key, (json_t *)(uintptr_t)value);
}

/* ---- the whole transform ---- */

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
            transform_fail(r, "unknown key%s", nearest_hint(key, known_keys, hint, sizeof hint));
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
        transform_read_tokenizer(r, value);
    if ((value = next_key(r, json, "pad")))
        transform_read_pad(r, value);
    if ((value = next_key(r, json, "feedback")))
        transform_read_feedback(r, value);
}

static void check_combinations(struct reading *r)
{
    const struct transform *t = r->out;
    r->key = "labels";
    for (size_t i = 0; i < t->n_outputs; i++)
        if (t->outputs[i].n_labels && t->outputs[i].scaler.n)
            transform_fail(r, "\"%.60s\" of the model has both labels and an output scaler; remove one of them",
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
        transform_out_of_memory(&r);
    } else {
        check_keys(&r, json);
        read_keys(&r, json);
        if (r.good)
            check_combinations(&r);
    }
    char *text = r.good ? json_dumps(r.shown, JSON_COMPACT) : NULL;
    if (r.good && !(out->shown = text ? strdup(text) : NULL))
        transform_out_of_memory(&r);
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
