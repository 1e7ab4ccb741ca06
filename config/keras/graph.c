/* Functional models: nodes that take tensors of other nodes, and the plain chain that is looked for in them. */
#include "graph.h"

#include "core/cells/cell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_REFS = 8, MAX_NODES = 1024 };

/* What one layer of a graph takes. */
struct node {
    const char *name;
    const char *main;            /* the layer whose output it takes, or NULL */
    const char *masks[MAX_REFS]; /* the layer whose output is its mask, or NULL, in [0] */
    const char *states[MAX_REFS];
    size_t n_masks, n_states;
    bool shared, odd;     /* used more than once; takes a tensor that is no first output */
    const char *argument; /* of its call, beside those: one that would change what it computes; or NULL */
};

struct functional {
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

static struct node *find_node(const struct functional *model, const char *name)
{
    for (size_t i = 0; name && i < model->n; i++)
        if (model->nodes[i].name && !strcmp(model->nodes[i].name, name))
            return &model->nodes[i];
    return NULL;
}

static const json_t *json_of(const struct functional *model, const struct node *node)
{
    return json_array_get(model->layers, (size_t)(node - model->nodes));
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

/* Whether anything in an argument of a call says more than the argument left out. */
static bool says_something(const json_t *value)
{
    return value && !json_is_null(value) && !json_is_false(value) && !(json_is_array(value) && !json_array_size(value));
}

/* The tensors that a layer takes beside its main one: a reference, or lists of them. False where something else stands
   among them. */
static bool add_side(struct node *node, const char *key, const json_t *value)
{
    json_int_t tensor;
    const char *name = reference(value, &tensor);
    bool mask = !strcmp(key, "mask"), good = true;
    size_t *n = mask ? &node->n_masks : &node->n_states;
    if (name && *n < MAX_REFS)
        (mask ? node->masks : node->states)[(*n)++] = name;
    else if (name)
        node->odd = true;
    if (name || !json_is_array(value))
        return name || !says_something(value);
    for (size_t i = 0; good && i < json_array_size(value); i++)
        good = add_side(node, key, json_array_get(value, i));
    return good;
}

/* A keyword argument of a call: a mask or states that come from layers, or what is not served. */
static void add_keyword(struct node *node, const char *key, const json_t *value)
{
    bool known = !strcmp(key, "mask") || !strcmp(key, "initial_state");
    if (known ? !add_side(node, key, value) : says_something(value))
        node->argument = key;
}

static void add_main(struct node *node, const json_t *value)
{
    json_int_t tensor = 0;
    const char *name = reference(value, &tensor);
    if (!name) {
        size_t found = 0;
        for (size_t i = 0; i < json_array_size(value) && i < 2 * MAX_REFS; i++)
            if (reference(json_array_get(value, i), &tensor)) {
                add_main(node, json_array_get(value, i));
                found++;
            }
        if (found < json_array_size(value) || (!found && says_something(value)))
            node->argument = "a value that no layer gives";
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
            add_keyword(node, key, value);
        return;
    }
    for (size_t i = 0; i < json_array_size(first); i++) { /* Keras 2: [name, node, tensor, {keyword arguments}] */
        add_main(node, json_array_get(first, i));
        json_object_foreach(json_array_get(json_array_get(first, i), 3), key, value)
            add_keyword(node, key, value);
    }
}

static bool is_class(const struct functional *model, const struct node *node, const char *name)
{
    const char *class_name = node ? keras_class_name(json_of(model, node)) : NULL;
    return class_name && !strcmp(class_name, name);
}

/* Keras 3 writes the mask of a Masking or an Embedding out as layers of its own: NotEqual, and for Masking Any behind
   it. True when `name` is the mask of such a layer of the chain, whose work they then are. */
static bool is_mask_of(const struct functional *model, const char *name)
{
    const struct node *mask = find_node(model, name);
    bool any = is_class(model, mask, "Any");
    if (any)
        mask = find_node(model, mask->main);
    if (!is_class(model, mask, "NotEqual") || !mask->main)
        return false;
    for (size_t i = 0; i < model->n; i++) {
        const struct node *node = &model->nodes[i];
        const json_t *config = json_object_get(json_of(model, node), "config");
        if (!node->main || strcmp(node->main, mask->main))
            continue;
        if (any ? is_class(model, node, "Masking")
                : is_class(model, node, "Embedding") && json_is_true(json_object_get(config, "mask_zero")))
            return true;
    }
    return false;
}

static bool refuse(const struct functional *model, const struct node *node, const char *what, const char *other)
{
    char index[24];
    snprintf(index, sizeof index, "%zu", (size_t)(node - model->nodes));
    keras_error(model->reader, keras_path(model->path, index).text,
                "layer \"%.60s\" %s%.60s; a Functional model is served where it is a plain chain of layers",
                node->name ? node->name : "", what, other ? other : "");
    return false;
}

/* Masks and initial states may come from inputs of the model: requests give them under names of their own. */
static bool check_sides(const struct functional *model, const struct node *node)
{
    for (size_t i = 0; i < node->n_masks; i++) {
        if (is_class(model, find_node(model, node->masks[i]), "InputLayer"))
            keras_warning(model->reader, model->path, "the input \"%.60s\" is a mask: requests give it as \"mask\"",
                          node->masks[i]);
        else if (!is_mask_of(model, node->masks[i]))
            return refuse(model, node, "takes as its mask what comes from ", node->masks[i]);
    }
    for (size_t i = 0; i < node->n_states; i++) {
        const struct node *from = find_node(model, node->states[i]);
        const char *class_name = keras_class_name(json_of(model, node));
        bool recurrent = class_name && (cell_class_find(class_name, NULL) || !strcmp(class_name, "RNN") ||
                                        !strcmp(class_name, "Bidirectional"));
        if (!recurrent || !is_class(model, from, "InputLayer"))
            return refuse(model, node, "takes more than one tensor, also that of ", node->states[i]);
        keras_warning(model->reader, model->path,
                      "the input \"%.60s\" is an initial state: requests give it in \"initial_state\"",
                      node->states[i]);
    }
    if (node->argument)
        return refuse(model, node, "is called with an argument that is not served: ", node->argument);
    if (node->shared)
        return refuse(model, node, "is used more than once", NULL);
    return !node->odd || refuse(model, node, "takes a state of the layer before it", NULL);
}

/* The layers that the outputs name; the first is where the chain ends. */
static const char *output_layer(const struct functional *model, const json_t *outputs)
{
    json_int_t tensor = 0;
    const char *name = reference(outputs, &tensor);
    for (size_t i = 0; !name && i < json_array_size(outputs); i++)
        if (json_is_array(json_array_get(outputs, i)) || json_is_object(json_array_get(outputs, i)))
            name = output_layer(model, json_array_get(outputs, i));
    return name;
}

/* Every output beside the first is a state of a layer in the chain. */
static bool check_outputs(const struct functional *model, const json_t *outputs, const char *last, const bool *in_chain,
                          bool first)
{
    json_int_t tensor = 0;
    const char *name = reference(outputs, &tensor);
    const struct node *node = find_node(model, name);
    if (name && (!node || !in_chain[node - model->nodes] || (!tensor && strcmp(name, last)))) {
        keras_error(model->reader, model->path,
                    "the model has several outputs, also \"%.60s\"; a Functional model is served where it is a plain "
                    "chain of layers",
                    name);
        return false;
    }
    if (name && first && tensor)
        keras_warning(model->reader, model->path,
                      "the model gives a state of \"%.60s\" alone; answers have the "
                      "outputs of the layer, and its states beside them",
                      name);
    for (size_t i = 0; !name && i < json_array_size(outputs); i++)
        if ((json_is_array(json_array_get(outputs, i)) || json_is_object(json_array_get(outputs, i))) &&
            !check_outputs(model, json_array_get(outputs, i), last, in_chain, first && !i))
            return false;
    return true;
}

/* A walk through a graph: which layers are on the way, in which order from the output, and which feed masks and states. */
struct chain {
    size_t *order, length;
    bool *on_way, *beside;
};

/* Whatever leads to the masks and initial states of a layer is accounted for. */
static void mark_sides(const struct functional *model, const struct node *node, struct chain *chain)
{
    for (size_t k = 0; k < node->n_masks + node->n_states; k++) {
        const char *name = k < node->n_masks ? node->masks[k] : node->states[k - node->n_masks];
        for (const struct node *side = find_node(model, name); side && !chain->beside[side - model->nodes];
             side = find_node(model, side->main))
            chain->beside[side - model->nodes] = true;
    }
}

/* From the layer of the output back to an input, which is the last of the order. */
static bool walk_back(const struct functional *model, const struct node *node, struct chain *chain)
{
    for (; node; node = find_node(model, node->main)) {
        size_t i = (size_t)(node - model->nodes);
        if (chain->on_way[i])
            return refuse(model, node, "is part of a circle", NULL);
        chain->on_way[i] = true;
        chain->order[chain->length++] = i;
        if (is_class(model, node, "InputLayer"))
            return true;
        mark_sides(model, node, chain);
        if (!check_sides(model, node))
            return false;
        if (!find_node(model, node->main))
            return refuse(model, node, "takes its input from no layer of the model", NULL);
    }
    return true;
}

/* No layer may stand beside the way but those that make masks and states. */
static bool check_rest(const struct functional *model, const struct chain *chain)
{
    for (size_t i = 0; i < model->n; i++)
        if (!chain->on_way[i] && !chain->beside[i] && !is_mask_of(model, model->nodes[i].name) &&
            !is_class(model, &model->nodes[i], "NotEqual"))
            return refuse(model, &model->nodes[i], "stands beside the way from the input to the output", NULL);
    return true;
}

/* The order from the output to the input, in memory of its own. */
static size_t *find_chain(struct functional *model, const json_t *outputs, size_t *length)
{
    const char *last = output_layer(model, outputs);
    const struct node *node = find_node(model, last);
    struct chain chain = {.order = calloc(model->n + 1, sizeof *chain.order),
                          .on_way = calloc(model->n + 1, sizeof *chain.on_way),
                          .beside = calloc(model->n + 1, sizeof *chain.beside)};
    bool memory = chain.order && chain.on_way && chain.beside;
    if (!memory)
        keras_error(model->reader, model->path, "out of memory");
    else if (!node)
        keras_error(model->reader, model->path, "output_layers names no layer of the model");
    bool good = memory && node && walk_back(model, node, &chain) && check_rest(model, &chain) &&
                check_outputs(model, outputs, last, chain.on_way, true);
    free(chain.on_way);
    free(chain.beside);
    *length = chain.length;
    if (good)
        return chain.order;
    free(chain.order);
    return NULL;
}

size_t *keras_graph_chain(struct keras_reader *reader, const json_t *config, const char *path, size_t *length)
{
    struct functional model = {.reader = reader, .layers = json_object_get(config, "layers"), .path = path};
    model.n = json_array_size(model.layers);
    if (!model.n || model.n > MAX_NODES) {
        keras_error(reader, path, "expected a list of 1 to %d layers", MAX_NODES);
        return NULL;
    }
    model.nodes = calloc(model.n, sizeof *model.nodes);
    if (!model.nodes) {
        keras_error(reader, path, "out of memory");
        return NULL;
    }
    for (size_t i = 0; i < model.n; i++)
        read_node(&model.nodes[i], json_array_get(model.layers, i));
    size_t *order = find_chain(&model, json_object_get(config, "output_layers"), length);
    free(model.nodes);
    for (size_t i = 0; order && i < *length / 2; i++) { /* from the input on */
        size_t other = order[i];
        order[i] = order[*length - 1 - i];
        order[*length - 1 - i] = other;
    }
    return order;
}
