/* Reads models: the version of Keras that wrote them, their kind, and the places of their layers' weights. */
#include "model.h"

#include "functional.h"
#include "input_shape.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the version of Keras ---- */

/* Whether the configuration has a value that only Keras 3 writes: batch_shape, or a DTypePolicy object. */
static bool has_keras3_marks(const json_t *json, int depth)
{
    const char *key;
    json_t *value;
    size_t i;
    if (depth > 64)
        return false;
    if (json_is_array(json))
        json_array_foreach((json_t *)json, i, value)
            if (has_keras3_marks(value, depth + 1))
                return true;
    if (!json_is_object(json))
        return false;
    const char *class_name = keras_class_name(json);
    if (json_object_get(json, "batch_shape") || (class_name && !strcmp(class_name, "DTypePolicy")))
        return true;
    json_object_foreach((json_t *)json, key, value)
        if (has_keras3_marks(value, depth + 1))
            return true;
    return false;
}

/* Whether the configuration has a value that only Keras 1 writes. */
static bool has_keras1_marks(const json_t *json, int depth)
{
    static const char *const marks[] = {"inner_activation", "inner_init", "W_regularizer", "consume_less"};
    const char *key;
    json_t *value;
    size_t i;
    if (depth > 64)
        return false;
    json_array_foreach((json_t *)json, i, value)
        if (has_keras1_marks(value, depth + 1))
            return true;
    for (i = 0; i < sizeof marks / sizeof *marks; i++)
        if (json_object_get(json, marks[i]))
            return true;
    json_object_foreach((json_t *)json, key, value)
        if (has_keras1_marks(value, depth + 1))
            return true;
    return false;
}

/* From the version in the file ("2.1.6-tf"), or from values that only one version writes. */
static void find_version(struct keras_reader *reader, const json_t *json, const char *path, const char *version)
{
    int major = 0, minor = 0;
    if (!version)
        version = json_string_value(json_object_get(json, "keras_version"));
    if (!version || sscanf(version, "%d.%d", &major, &minor) < 1)
        major = has_keras3_marks(json, 0) ? 3 : has_keras1_marks(json, 0) ? 1 : 2, minor = 2;
    reader->keras_major = major >= 3 ? 3 : 2;
    reader->before_2_2 = major == 2 && minor < 2;
    if (major < 2)
        keras_error(
            reader, path,
            "the file was written by Keras 1, whose layers have other options and weights; load and save it with "
            "Keras 2 (2.0 to 2.2 read such files)");
}

/* ---- names and places ---- */

void keras_snake_case(const char *name, char *out, size_t size)
{
    size_t n = 0;
    for (const char *p = name; *p && n + 2 < size; p++) {
        if (!isalnum((unsigned char)*p) && *p != '_')
            continue;
        bool starts = isupper((unsigned char)*p) && p > name &&
                      ((islower((unsigned char)p[1]) && p[-1] != '_') || islower((unsigned char)p[-1]));
        if (starts && n && out[n - 1] != '_')
            out[n++] = '_';
        out[n++] = (char)tolower((unsigned char)*p);
    }
    out[n] = 0;
}

struct layer *keras_model_add(struct keras_reader *reader, const char *path, struct keras_model *model,
                              const struct keras_place *place)
{
    size_t n = model->model.n_layers;
    if (n == model->places_room) {
        size_t room = n ? 2 * n : 16;
        struct keras_place *grown = realloc(model->places, room * sizeof *grown);
        if (!grown) {
            keras_error(reader, path, "out of memory");
            return NULL;
        }
        model->places = grown;
        model->places_room = room;
    }
    struct layer *layer = graph_layer(&model->model);
    if (!layer && n == GRAPH_MAX_LAYERS)
        keras_error(reader, path, "expected at most %d layers", GRAPH_MAX_LAYERS);
    else if (!layer)
        keras_error(reader, path, "out of memory");
    else
        model->places[n] = place ? *place : (struct keras_place){.nested = false};
    return layer;
}

/* ---- the whole model ---- */

/* A layer that was built for single timesteps declares only its features. */
static void read_lone_layer(struct keras_reader *reader, const json_t *json, const char *path, struct keras_model *out)
{
    struct keras_place place = {.nested = false};
    struct layer_shape shape;
    char snake[64];
    keras_snake_case(keras_class_name(json) ? keras_class_name(json) : "", snake, sizeof snake);
    snprintf(place.group, sizeof place.group, "layers/%s", snake);
    struct layer *layer = keras_model_add(reader, path, out, &place);
    if (!layer || !keras_layer_read(reader, json, path, layer))
        return;
    keras_lone_shape(reader, json, path, &shape);
    if (layer_part(layer, 0) && !shape.sequence)
        shape = (struct layer_shape){.sequence = true, .width = shape.width};
    size_t input = graph_input(&out->model, "inputs", &shape);
    if (input == GRAPH_NONE || graph_node(&out->model, 0, &input, 1) == GRAPH_NONE) {
        keras_error(reader, path, "out of memory");
        return;
    }
    keras_find_ids(&out->model);
    if (!layer->name[0])
        snprintf(layer->name, sizeof layer->name, "%s", "rnn");
    snprintf(out->name, sizeof out->name, "%s", layer->name);
}

bool keras_model_read(const json_t *json, const char *file, const char *path, const char *keras_version,
                      struct problems *problems, struct keras_model *out)
{
    bool failed = false;
    struct keras_reader reader = {.file = file, .problems = problems, .failed = &failed};
    const char *class_name = keras_class_name(json);
    find_version(&reader, json, path, keras_version);
    *out = (struct keras_model){.keras_major = reader.keras_major, .is_chain = keras_is_model(class_name)};
    snprintf(out->class_name, sizeof out->class_name, "%s", class_name ? class_name : "");
    if (failed) {
        ; /* Keras 1: report it once, not each of its options */
    } else if (out->is_chain) {
        keras_name(json_object_get(json, "config"), out->name, sizeof out->name);
        keras_functional_read(&reader, json, path, out);
    } else {
        read_lone_layer(&reader, json, path, out);
    }
    if (!failed && !out->model.n_nodes)
        keras_error(&reader, path, "the model has only an input, and no other layer");
    if (!failed)
        return true;
    keras_model_close(out);
    return false;
}

void keras_model_close(struct keras_model *model)
{
    graph_close(&model->model);
    free(model->places);
    *model = (struct keras_model){.is_chain = false};
}
