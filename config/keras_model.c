/* Models: the order of the layers, the shape of the input, and which Keras wrote them. */
#include "keras_model.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FEATURES = 1 << 24, MAX_GRAPH_REFS = 8 };

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
    struct layer_shape *input = &out->model.input;
    for (size_t i = 0; !first && i < out->model.n_layers; i++)
        if (out->model.layers[i].class != &layer_identity)
            first = &out->model.layers[i];
    bool ids = first && first->class == &layer_embedding && (!shape->known || shape->rank == 1);
    bool cell = first && first->class == &layer_recurrent && shape->rank == 1; /* built for single timesteps */
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
    struct layer *layer = rnn_model_add(&out->model);
    if (!layer) {
        keras_error(reader, path, "expected at most %d layers", MODEL_MAX_LAYERS);
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

/* ---- Functional models ---- */

/* What one layer of a graph takes. */
struct node {
    const char *name;
    const char *main;                  /* the layer whose output it takes, or NULL */
    const char *masks[MAX_GRAPH_REFS]; /* the layer whose output is its mask, or NULL, in [0] */
    const char *states[MAX_GRAPH_REFS];
    size_t n_masks, n_states;
    bool shared, odd; /* used more than once; takes a tensor that is no first output */
};

struct graph {
    struct keras_reader *reader;
    const json_t *layers;
    const char *path;
    struct node *nodes;
    size_t n;
};

static const char *layer_name(const json_t *layer)
{
    const char *name = json_string_value(json_object_get(layer, "name"));
    return name ? name : json_string_value(json_object_get(json_object_get(layer, "config"), "name"));
}

static struct node *find_node(const struct graph *graph, const char *name)
{
    for (size_t i = 0; name && i < graph->n; i++)
        if (graph->nodes[i].name && !strcmp(graph->nodes[i].name, name))
            return &graph->nodes[i];
    return NULL;
}

static const json_t *json_of(const struct graph *graph, const struct node *node)
{
    return json_array_get(graph->layers, (size_t)(node - graph->nodes));
}

/* The layer of a reference [name, node, tensor, …] or a __keras_tensor__, or NULL; *tensor is which of its outputs. */
static const char *reference(const json_t *json, json_int_t *tensor)
{
    const json_t *history = json_object_get(json_object_get(json, "config"), "keras_history");
    const json_t *list = history ? history : json;
    if (!json_is_array(list) || !json_is_string(json_array_get(list, 0)) || !json_is_integer(json_array_get(list, 2)))
        return NULL;
    *tensor = json_integer_value(json_array_get(list, 2));
    return json_string_value(json_array_get(list, 0));
}

/* A reference to a tensor that a layer takes beside its main one. */
static void add_side(struct node *node, const char *key, const json_t *value)
{
    json_int_t tensor;
    const char *name = reference(value, &tensor);
    bool mask = !strcmp(key, "mask");
    size_t *n = mask ? &node->n_masks : &node->n_states;
    if (name && *n < MAX_GRAPH_REFS) {
        (mask ? node->masks : node->states)[(*n)++] = name;
    } else if (name) {
        node->odd = true;
    } else {
        for (size_t i = 0; i < json_array_size(value) && i < 2 * MAX_GRAPH_REFS; i++)
            if (!json_is_array(json_array_get(value, i)) || reference(json_array_get(value, i), &tensor))
                add_side(node, key, json_array_get(value, i));
    }
}

static void add_main(struct node *node, const json_t *value)
{
    json_int_t tensor = 0;
    const char *name = reference(value, &tensor);
    if (!name) {
        for (size_t i = 0; i < json_array_size(value) && i < 2 * MAX_GRAPH_REFS; i++)
            if (reference(json_array_get(value, i), &tensor))
                add_main(node, json_array_get(value, i));
    } else if (node->main) {
        add_side(node, "initial_state", value); /* of an RNN; refused elsewhere */
    } else {
        node->main = name;
        node->odd |= tensor != 0;
    }
}

static void read_node(struct node *node, const json_t *layer)
{
    const json_t *inbound = json_object_get(layer, "inbound_nodes"), *first = json_array_get(inbound, 0);
    const char *key;
    json_t *value;
    node->name = layer_name(layer);
    node->shared = json_array_size(inbound) > 1;
    if (json_is_object(first)) { /* Keras 3 */
        for (size_t i = 0; i < json_array_size(json_object_get(first, "args")); i++)
            add_main(node, json_array_get(json_object_get(first, "args"), i));
        json_object_foreach(json_object_get(first, "kwargs"), key, value)
            add_side(node, key, value);
        return;
    }
    for (size_t i = 0; i < json_array_size(first); i++) { /* Keras 2: [name, node, tensor, {keyword arguments}] */
        add_main(node, json_array_get(first, i));
        json_object_foreach(json_array_get(json_array_get(first, i), 3), key, value)
            add_side(node, key, value);
    }
}

static bool is_class(const struct graph *graph, const struct node *node, const char *name)
{
    const char *class_name = node ? keras_class_name(json_of(graph, node)) : NULL;
    return class_name && !strcmp(class_name, name);
}

/* Keras 3 writes the mask of a Masking or an Embedding out as layers of its own: NotEqual, and for Masking Any behind
   it. True when `name` is the mask of such a layer of the chain, whose work they then are. */
static bool is_mask_of(const struct graph *graph, const char *name)
{
    const struct node *mask = find_node(graph, name);
    bool any = is_class(graph, mask, "Any");
    if (any)
        mask = find_node(graph, mask->main);
    if (!is_class(graph, mask, "NotEqual") || !mask->main)
        return false;
    for (size_t i = 0; i < graph->n; i++) {
        const struct node *node = &graph->nodes[i];
        const json_t *config = json_object_get(json_of(graph, node), "config");
        if (!node->main || strcmp(node->main, mask->main))
            continue;
        if (any ? is_class(graph, node, "Masking")
                : is_class(graph, node, "Embedding") && json_is_true(json_object_get(config, "mask_zero")))
            return true;
    }
    return false;
}

static bool refuse(const struct graph *graph, const struct node *node, const char *what, const char *other)
{
    char index[24];
    snprintf(index, sizeof index, "%zu", (size_t)(node - graph->nodes));
    keras_error(graph->reader, keras_path(graph->path, index).text,
                "layer \"%.60s\" %s%.60s; a Functional model is served where it is a plain chain of layers",
                node->name ? node->name : "", what, other ? other : "");
    return false;
}

/* Masks and initial states may come from inputs of the model: requests give them under names of their own. */
static bool check_sides(const struct graph *graph, const struct node *node)
{
    for (size_t i = 0; i < node->n_masks; i++) {
        if (is_class(graph, find_node(graph, node->masks[i]), "InputLayer"))
            keras_warning(graph->reader, graph->path, "the input \"%.60s\" is a mask: requests give it as \"mask\"",
                          node->masks[i]);
        else if (!is_mask_of(graph, node->masks[i]))
            return refuse(graph, node, "takes as its mask what comes from ", node->masks[i]);
    }
    for (size_t i = 0; i < node->n_states; i++) {
        const struct node *from = find_node(graph, node->states[i]);
        const char *class_name = keras_class_name(json_of(graph, node));
        bool recurrent = class_name && (cell_class_find(class_name, NULL) || !strcmp(class_name, "RNN") ||
                                        !strcmp(class_name, "Bidirectional"));
        if (!recurrent || !is_class(graph, from, "InputLayer"))
            return refuse(graph, node, "takes more than one tensor, also that of ", node->states[i]);
        keras_warning(graph->reader, graph->path,
                      "the input \"%.60s\" is an initial state: requests give it in \"initial_state\"",
                      node->states[i]);
    }
    if (node->shared)
        return refuse(graph, node, "is used more than once", NULL);
    return !node->odd || refuse(graph, node, "takes a state of the layer before it", NULL);
}

/* The layers that the outputs name; the first is where the chain ends. */
static const char *output_layer(const struct graph *graph, const json_t *outputs)
{
    json_int_t tensor = 0;
    const char *name = reference(outputs, &tensor);
    for (size_t i = 0; !name && i < json_array_size(outputs); i++)
        if (json_is_array(json_array_get(outputs, i)) || json_is_object(json_array_get(outputs, i)))
            name = output_layer(graph, json_array_get(outputs, i));
    return name;
}

/* Every output beside the first is a state of a layer in the chain. */
static bool check_outputs(const struct graph *graph, const json_t *outputs, const char *last, const bool *in_chain,
                          bool first)
{
    json_int_t tensor = 0;
    const char *name = reference(outputs, &tensor);
    const struct node *node = find_node(graph, name);
    if (name && (!node || !in_chain[node - graph->nodes] || (!tensor && strcmp(name, last)))) {
        keras_error(graph->reader, graph->path,
                    "the model has several outputs, also \"%.60s\"; a Functional model is served where it is a plain "
                    "chain of layers",
                    name);
        return false;
    }
    if (name && first && tensor)
        keras_warning(graph->reader, graph->path,
                      "the model gives a state of \"%.60s\" alone; answers have the "
                      "outputs of the layer, and its states beside them",
                      name);
    for (size_t i = 0; !name && i < json_array_size(outputs); i++)
        if ((json_is_array(json_array_get(outputs, i)) || json_is_object(json_array_get(outputs, i))) &&
            !check_outputs(graph, json_array_get(outputs, i), last, in_chain, first && !i))
            return false;
    return true;
}

/* A walk through a graph: which layers are on the way, in which order from the output, and which feed masks and states. */
struct chain {
    size_t *order, length;
    bool *on_way, *beside;
};

/* Whatever leads to the masks and initial states of a layer is accounted for. */
static void mark_sides(const struct graph *graph, const struct node *node, struct chain *chain)
{
    for (size_t k = 0; k < node->n_masks + node->n_states; k++) {
        const char *name = k < node->n_masks ? node->masks[k] : node->states[k - node->n_masks];
        for (const struct node *side = find_node(graph, name); side && !chain->beside[side - graph->nodes];
             side = find_node(graph, side->main))
            chain->beside[side - graph->nodes] = true;
    }
}

/* From the layer of the output back to an input. */
static bool walk_back(const struct graph *graph, const struct node *node, struct chain *chain,
                      struct input_shape *shape)
{
    for (; node; node = find_node(graph, node->main)) {
        size_t i = (size_t)(node - graph->nodes);
        if (chain->on_way[i])
            return refuse(graph, node, "is part of a circle", NULL);
        chain->on_way[i] = true;
        if (is_class(graph, node, "InputLayer")) {
            char index[24];
            snprintf(index, sizeof index, "%zu", i);
            read_shapes(graph->reader, json_of(graph, node), keras_path(graph->path, index).text, shape);
            return true;
        }
        chain->order[chain->length++] = i;
        mark_sides(graph, node, chain);
        if (!check_sides(graph, node))
            return false;
        if (!find_node(graph, node->main))
            return refuse(graph, node, "takes its input from no layer of the model", NULL);
    }
    return true;
}

/* No layer may stand beside the way but those that make masks and states. */
static bool check_rest(const struct graph *graph, const struct chain *chain)
{
    for (size_t i = 0; i < graph->n; i++)
        if (!chain->on_way[i] && !chain->beside[i] && !is_mask_of(graph, graph->nodes[i].name) &&
            !is_class(graph, &graph->nodes[i], "NotEqual"))
            return refuse(graph, &graph->nodes[i], "stands beside the way from the input to the output", NULL);
    return true;
}

static void read_chain(struct graph *graph, const json_t *outputs, struct input_shape *shape, struct keras_model *out)
{
    const char *last = output_layer(graph, outputs);
    const struct node *node = find_node(graph, last);
    struct chain chain = {.order = calloc(graph->n + 1, sizeof *chain.order),
                          .on_way = calloc(graph->n + 1, sizeof *chain.on_way),
                          .beside = calloc(graph->n + 1, sizeof *chain.beside)};
    bool memory = chain.order && chain.on_way && chain.beside;
    if (!memory)
        keras_error(graph->reader, graph->path, "out of memory");
    else if (!node)
        keras_error(graph->reader, graph->path, "output_layers names no layer of the model");
    bool good = memory && node && walk_back(graph, node, &chain, shape) && check_rest(graph, &chain) &&
                check_outputs(graph, outputs, last, chain.on_way, true);
    while (good && chain.length)
        good = add_layer(graph->reader, graph->layers, chain.order[--chain.length], graph->path, out);
    free(chain.order);
    free(chain.on_way);
    free(chain.beside);
}

static void read_functional(struct keras_reader *reader, const json_t *json, const char *path,
                            struct input_shape *shape, struct keras_model *out)
{
    const json_t *config = json_object_get(json, "config");
    struct keras_path where = keras_path(path, "config/layers");
    struct graph graph = {.reader = reader, .layers = json_object_get(config, "layers"), .path = where.text};
    graph.n = json_array_size(graph.layers);
    if (!graph.n || graph.n > 4 * MODEL_MAX_LAYERS) {
        keras_expected(reader, where.text, NULL, "a list of 1 to 1024 layers", NULL);
        return;
    }
    graph.nodes = calloc(graph.n, sizeof *graph.nodes);
    if (!graph.nodes) {
        keras_error(reader, where.text, "out of memory");
        return;
    }
    for (size_t i = 0; i < graph.n; i++)
        read_node(&graph.nodes[i], json_array_get(graph.layers, i));
    read_chain(&graph, json_object_get(config, "output_layers"), shape, out);
    free(graph.nodes);
}

/* ---- the whole ---- */

static void read_lone_layer(struct keras_reader *reader, const json_t *json, const char *path,
                            struct input_shape *shape, struct keras_model *out)
{
    struct layer *layer = rnn_model_add(&out->model);
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
    struct keras_reader reader = {.file = file, .keras_major = keras_major(json, keras_version), .problems = problems};
    struct input_shape shape = {.known = false};
    size_t before = problems->n_errors;
    const char *class_name = keras_class_name(json);
    *out = (struct keras_model){.keras_major = reader.keras_major};
    snprintf(out->class_name, sizeof out->class_name, "%s", class_name ? class_name : "");
    bool sequential = class_name && !strcmp(class_name, "Sequential");
    out->is_chain = sequential || (class_name && (!strcmp(class_name, "Functional") || !strcmp(class_name, "Model")));
    out->groups = calloc(MODEL_MAX_LAYERS, sizeof *out->groups);
    if (!out->groups) {
        keras_error(&reader, path, "out of memory");
    } else if (!out->is_chain) {
        read_lone_layer(&reader, json, path, &shape, out);
    } else {
        keras_name(json_object_get(json, "config"), out->name, sizeof out->name);
        (sequential ? read_sequential : read_functional)(&reader, json, path, &shape, out);
    }
    if (problems->n_errors == before && !out->model.n_layers)
        keras_error(&reader, path, "the model has no layer but its input");
    if (problems->n_errors == before) {
        set_input(out, &shape);
        return true;
    }
    keras_model_close(out);
    return false;
}

void keras_model_close(struct keras_model *model)
{
    rnn_model_close(&model->model);
    free(model->groups);
    *model = (struct keras_model){.is_chain = false};
}
