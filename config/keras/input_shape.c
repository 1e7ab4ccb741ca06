/* Reads shapes of inputs, from the keys of Keras 2 and 3. */
#include "input_shape.h"

#include <stdio.h>
#include <string.h>

enum { MAX_FEATURES = 1 << 24 };

/* The axes after the batch; 0 is an open axis. */
struct axes {
    bool known;
    size_t n, sizes[LAYER_MAX_AXES];
};

/* Read a shape such as [null, null, 2]. A value that is not a list is not a shape. */
static void read_shape(const struct keras_reader *reader, const json_t *shape, const char *path, struct axes *out)
{
    if (json_is_array(json_object_get(shape, "items"))) /* a tuple in a SavedModel */
        shape = json_object_get(shape, "items");
    size_t rank = json_array_size(shape);
    if (!json_is_array(shape) || !rank || out->known)
        return;
    struct axes read = {.known = true, .n = rank - 1};
    bool good = rank <= LAYER_MAX_AXES;
    for (size_t i = 1; good && i < rank; i++) {
        const json_t *size = json_array_get(shape, i);
        good = json_is_null(size) ||
               (json_is_integer(size) && json_integer_value(size) >= 1 && json_integer_value(size) <= MAX_FEATURES);
        read.sizes[i - 1] = (size_t)json_integer_value(size);
    }
    if (good)
        *out = read;
    else
        keras_expected(reader, path, NULL, "a shape [batch, …] of up to four axes after the batch", shape);
}

static void read_shapes(const struct keras_reader *reader, const json_t *json, const char *path, struct axes *out)
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

/* Only the number of timesteps may be open. A single open axis is a sequence of numbers. */
static void set_shape(const struct keras_reader *reader, const struct axes *axes, const char *path,
                      struct layer_shape *out)
{
    *out = (struct layer_shape){.sequence = true};
    if (!axes->known)
        return;
    for (size_t i = 1; i < axes->n; i++)
        if (!axes->sizes[i] && axes->n > 2) {
            keras_error(reader, path, "expected an input whose only open axis is the first one (the timesteps)");
            return;
        }
    if (axes->n == 1 && !axes->sizes[0])
        *out = (struct layer_shape){.sequence = true, .scalar = true, .width = 1};
    else if (!layer_shape_of(axes->n, axes->sizes, out))
        keras_error(reader, path, "the input is too large");
}

void keras_input_shape(const struct keras_reader *reader, const json_t *json, const char *path, struct layer_shape *out)
{
    struct axes axes = {.known = false};
    read_shapes(reader, json, path, &axes);
    set_shape(reader, &axes, path, out);
}

/* If the first layer of a model is itself a model, the shape is that of its first layer. */
static void read_sequential(const struct keras_reader *reader, const json_t *json, const json_t *layers,
                            const char *path, struct axes *axes, int depth)
{
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i),
                     *inner = json_object_get(json_object_get(layer, "config"), "layers");
        const char *class_name = keras_class_name(layer);
        bool input = class_name && !strcmp(class_name, "InputLayer");
        if (i && !input)
            continue;
        if (inner && depth < 8)
            read_sequential(reader, layer, inner, path, axes, depth + 1);
        char index[24];
        snprintf(index, sizeof index, "%zu", i);
        read_shapes(reader, layer, keras_path(path, index).text, axes);
    }
    read_shapes(reader, json, path, axes);
}

void keras_sequential_shape(const struct keras_reader *reader, const json_t *json, const json_t *layers,
                            const char *path, struct layer_shape *out)
{
    struct axes axes = {.known = false};
    read_sequential(reader, json, layers, path, &axes, 0);
    set_shape(reader, &axes, path, out);
}

void keras_lone_shape(const struct keras_reader *reader, const json_t *json, const char *path, struct layer_shape *out)
{
    keras_input_shape(reader, json, path, out);
    if (out->sequence)
        out->timesteps = 0;
}

/* The input of which a value is a view, through layers that compute nothing. GRAPH_NONE if the value is computed. */
static size_t input_of(const struct graph *graph, size_t value)
{
    while (graph->values[value].node != GRAPH_NONE) {
        const struct graph_node *node = &graph->nodes[graph->values[value].node];
        if (graph->layers[node->layer].class->run)
            return GRAPH_NONE;
        value = node->inputs[0];
    }
    return graph->values[value].input;
}

void keras_find_ids(struct graph *graph)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        size_t input = layer_takes_ids(&graph->layers[node->layer]) ? input_of(graph, node->inputs[0]) : GRAPH_NONE;
        if (input == GRAPH_NONE)
            continue;
        struct layer_shape *shape = &graph->inputs[input].shape;
        size_t axes[LAYER_MAX_AXES], n = layer_axes(shape, axes);
        bool vector = n == 1 || !shape->width;
        if (vector) /* one axis, of timesteps */
            *shape = (struct layer_shape){.sequence = true,
                                          .scalar = true,
                                          .timesteps = shape->sequence ? shape->timesteps : axes[0],
                                          .width = 1};
        shape->ids = true;
    }
}
