/* Models: the order of the layers, the shape of the input, and which Keras wrote them. */
#include "model.h"

#include "graph.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FEATURES = 1 << 24 };

/* ---- which Keras ---- */

/* Whether anything in the configuration is of Keras 3 alone: batch_shape, or a DTypePolicy object. */
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

static int keras_major(const json_t *json, const char *version)
{
    if (!version)
        version = json_string_value(json_object_get(json, "keras_version"));
    if (version)
        return *version >= '3' && *version <= '9' ? 3 : 2;
    return has_keras3_marks(json, 0) ? 3 : 2;
}

/* ---- the shape of the input ---- */

/* Without the batch. */
struct input_shape {
    bool known;
    size_t rank, sizes[2]; /* 0: open */
};

/* [null, null, 2] and the like; anything but a list is no statement. */
static void read_shape(const struct keras_reader *reader, const json_t *shape, const char *path,
                       struct input_shape *out)
{
    if (json_is_array(json_object_get(shape, "items"))) /* a tuple of a SavedModel */
        shape = json_object_get(shape, "items");
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || !rank || out->known)
        return;
    struct input_shape read = {.known = true, .rank = rank - 1};
    bool good = rank == 2 || rank == 3;
    for (size_t i = 1; good && i < rank; i++) {
        const json_t *size = json_array_get(shape, i);
        good = json_is_null(size) ||
               (json_is_integer(size) && json_integer_value(size) >= 1 && json_integer_value(size) <= MAX_FEATURES);
        read.sizes[i - 1] = (size_t)json_integer_value(size);
    }
    if (good)
        *out = read;
    else
        keras_expected(reader, path, NULL,
                       "a shape [batch, timesteps, features], [batch, timesteps] or [batch, features]", shape);
}

static void read_shapes(const struct keras_reader *reader, const json_t *json, const char *path,
                        struct input_shape *out)
{
    static const char *const keys[] = {"build_input_shape", "batch_input_shape", "batch_shape"};
    const json_t *config = json_object_get(json, "config");
    struct keras_path inner = keras_path(path, "config");
    for (size_t i = 0; i < 3; i++) {
        read_shape(reader, json_object_get(json, keys[i]), keras_path(path, keys[i]).text, out);
        read_shape(reader, json_object_get(config, keys[i]), keras_path(inner.text, keys[i]).text, out);
    }
    read_shape(reader, json_object_get(json_object_get(json, "build_config"), "input_shape"),
               keras_path(path, "build_config").text, out);
}

/* What the first layer that is no mere Dropout takes. */
static void set_input(struct keras_model *out, const struct input_shape *shape)
{
    const struct layer *first = NULL;
    struct layer_shape *input = &out->model.inputs[0].shape;
    for (size_t i = 0; !first && i < out->model.n_layers; i++)
        if (out->model.layers[i].class->run || out->model.layers[i].class->view)
            first = &out->model.layers[i];
    bool ids = first && layer_takes_ids(first) && (!shape->known || shape->rank == 1);
    bool cell = first && layer_part(first, 0) && shape->rank == 1; /* built for single timesteps */
    bool vector = shape->known && shape->rank == 1 && !ids && !cell;
    *input = (struct layer_shape){.sequence = !vector, .ids = ids};
    if (ids)
        *input = (struct layer_shape){.sequence = true, .ids = true, .timesteps = shape->sizes[0], .width = 1};
    else if (cell)
        input->width = shape->sizes[0];
    else if (vector)
        *input = (struct layer_shape){.timesteps = 1, .width = shape->sizes[0]};
    else if (shape->known)
        *input = (struct layer_shape){
            .sequence = true, .timesteps = out->is_chain ? shape->sizes[0] : 0, .width = shape->sizes[1]};
}

/* ---- the groups of Keras 3's weight files ---- */

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

/* The group of layer i of all layers in the file: its class, counted in order. */
static void group_name(const json_t *layers, size_t i, char *out, size_t size)
{
    const char *name = keras_class_name(json_array_get(layers, i));
    char snake[40];
    size_t before = 0;
    keras_snake_case(name ? name : "", snake, sizeof snake);
    for (size_t k = 0; k < i; k++) {
        char other[40];
        const char *other_name = keras_class_name(json_array_get(layers, k));
        keras_snake_case(other_name ? other_name : "", other, sizeof other);
        before += !strcmp(other, snake);
    }
    if (before)
        snprintf(out, size, "%s_%zu", snake, before);
    else
        snprintf(out, size, "%s", snake);
}

/* ---- layers ---- */

static bool add_layer(struct keras_reader *reader, const json_t *layers, size_t i, const char *path,
                      struct keras_model *out)
{
    const json_t *json = json_array_get(layers, i);
    const char *class_name = keras_class_name(json);
    char index[24];
    snprintf(index, sizeof index, "%zu", i);
    struct keras_path where = keras_path(path, index);
    if (class_name &&
        (!strcmp(class_name, "Sequential") || !strcmp(class_name, "Functional") || !strcmp(class_name, "Model"))) {
        keras_error(reader, where.text, "a model within a model is not served; add its layers one by one");
        return false;
    }
    struct layer *layer = graph_add(&out->model);
    if (!layer) {
        keras_error(reader, path, "expected at most %d layers", GRAPH_MAX_LAYERS);
        return false;
    }
    size_t at = out->model.n_layers - 1;
    group_name(layers, i, out->groups[at], sizeof *out->groups);
    bool good = keras_layer_read(reader, json, where.text, layer);
    if (!layer->name[0])
        snprintf(layer->name, sizeof layer->name, "%.60s", out->groups[at]);
    return good;
}

static bool is_input(const json_t *layer)
{
    const char *class_name = keras_class_name(layer);
    return class_name && !strcmp(class_name, "InputLayer");
}

/* config is the list of layers in old files. */
static void read_sequential(struct keras_reader *reader, const json_t *json, const char *path,
                            struct input_shape *shape, struct keras_model *out)
{
    const json_t *config = json_object_get(json, "config");
    bool bare = json_is_array(config);
    const json_t *layers = bare ? config : json_object_get(config, "layers");
    struct keras_path where = keras_path(path, bare ? "config" : "config/layers");
    if (!json_is_array(layers) || !json_array_size(layers)) {
        keras_expected(reader, where.text, NULL, "a list of at least one layer", layers);
        return;
    }
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        char index[24];
        snprintf(index, sizeof index, "%zu", i);
        if (!i || is_input(layer))
            read_shapes(reader, layer, keras_path(where.text, index).text, shape);
        if (!is_input(layer) && !add_layer(reader, layers, i, where.text, out))
            return;
    }
    read_shapes(reader, json, path, shape);
}

static void read_functional(struct keras_reader *reader, const json_t *json, const char *path,
                            struct input_shape *shape, struct keras_model *out)
{
    const json_t *config = json_object_get(json, "config"), *layers = json_object_get(config, "layers");
    struct keras_path where = keras_path(path, "config/layers");
    size_t length = 0, *order = keras_graph_chain(reader, config, where.text, &length);
    bool good = order != NULL;
    for (size_t i = 0; good && i < length; i++) {
        const json_t *layer = json_array_get(layers, order[i]);
        char index[24];
        snprintf(index, sizeof index, "%zu", order[i]);
        if (is_input(layer))
            read_shapes(reader, layer, keras_path(where.text, index).text, shape);
        else
            good = add_layer(reader, layers, order[i], where.text, out);
    }
    free(order);
}

/* ---- the whole ---- */

static void read_lone_layer(struct keras_reader *reader, const json_t *json, const char *path,
                            struct input_shape *shape, struct keras_model *out)
{
    struct layer *layer = graph_add(&out->model);
    if (!layer) {
        keras_error(reader, path, "out of memory");
        return;
    }
    keras_snake_case(keras_class_name(json) ? keras_class_name(json) : "", out->groups[0], sizeof *out->groups);
    if (keras_layer_read(reader, json, path, layer))
        read_shapes(reader, json, path, shape);
    if (!layer->name[0])
        snprintf(layer->name, sizeof layer->name, "%s", "rnn");
    snprintf(out->name, sizeof out->name, "%s", layer->name);
}

bool keras_model_read(const json_t *json, const char *file, const char *path, const char *keras_version,
                      struct problems *problems, struct keras_model *out)
{
    bool failed = false;
    struct keras_reader reader = {
        .file = file, .keras_major = keras_major(json, keras_version), .problems = problems, .failed = &failed};
    struct input_shape shape = {.known = false};
    const char *class_name = keras_class_name(json);
    *out = (struct keras_model){.keras_major = reader.keras_major};
    snprintf(out->class_name, sizeof out->class_name, "%s", class_name ? class_name : "");
    bool sequential = class_name && !strcmp(class_name, "Sequential");
    out->is_chain = sequential || (class_name && (!strcmp(class_name, "Functional") || !strcmp(class_name, "Model")));
    out->groups = calloc(GRAPH_MAX_LAYERS, sizeof *out->groups);
    if (!out->groups) {
        keras_error(&reader, path, "out of memory");
    } else if (!out->is_chain) {
        read_lone_layer(&reader, json, path, &shape, out);
    } else {
        keras_name(json_object_get(json, "config"), out->name, sizeof out->name);
        (sequential ? read_sequential : read_functional)(&reader, json, path, &shape, out);
    }
    if (!failed && !out->model.n_layers)
        keras_error(&reader, path, "the model has no layer but its input");
    if (!failed) {
        set_input(out, &shape);
        return true;
    }
    keras_model_close(out);
    return false;
}

void keras_model_close(struct keras_model *model)
{
    graph_close(&model->model);
    free(model->groups);
    *model = (struct keras_model){.is_chain = false};
}
