/* Models of layers become a graph in two steps: all layers are read in the order of the file (which is that of the
   weights), then the uses of the layers become nodes, each after those whose tensors it takes. A model within a model is
   inlined. */
#include "functional.h"

#include "call.h"
#include "core/layers/masking.h"
#include "core/layers/merge.h"
#include "core/layers/recurrent.h"
#include "core/layers/slice.h"
#include "input_shape.h"
#include "operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 1024, MAX_USES = 256, MAX_DEPTH = 16, MAX_PORTS = GRAPH_MAX_INPUTS };

/* One use of an entry: the value of its output, or of a model's outputs. */
struct use {
    const json_t *json;
    size_t *values, n_values;
    bool needed, done;
};

enum entry_kind { ENTRY_INPUT, ENTRY_LAYER, ENTRY_MODEL, ENTRY_OPERATION };

struct scope;

/* An element of a model's list of layers. */
struct entry {
    const json_t *json;
    const char *name, *class_name;
    enum entry_kind kind;
    size_t layer;        /* of a layer: its index in the graph */
    struct scope *model; /* of a model within this one */
    struct use *uses;
    size_t n_uses;
    size_t first_use; /* the number of uses[0] */
};

/* A model while it is read. */
struct scope {
    struct keras_reader *reader;
    struct keras_model *out;
    const json_t *json, *layers;
    struct keras_path path; /* of the list of layers */
    bool sequential;
    struct entry *entries;
    size_t n;
    int depth;
};

bool keras_is_model(const char *class_name)
{
    return class_name &&
           (!strcmp(class_name, "Sequential") || !strcmp(class_name, "Functional") || !strcmp(class_name, "Model"));
}

static struct keras_path entry_path(const struct scope *scope, const struct entry *entry)
{
    char index[24];
    snprintf(index, sizeof index, "%zu", (size_t)(entry - scope->entries));
    return keras_path(scope->path.text, index);
}

static bool refuse(const struct scope *scope, const struct entry *entry, const char *what, const char *other)
{
    keras_error(scope->reader, entry_path(scope, entry).text, "layer \"%.60s\" %s%.60s", entry->name ? entry->name : "",
                what, other ? other : "");
    return false;
}

static bool out_of_memory(const struct scope *scope)
{
    keras_error(scope->reader, scope->path.text, "out of memory");
    return false;
}

/* ---- the layers, in the order of the file ---- */

static const char *layer_name(const json_t *layer)
{
    const char *name = json_string_value(json_object_get(layer, "name"));
    return name ? name : json_string_value(json_object_get(json_object_get(layer, "config"), "name"));
}

/* The group of entry i in Keras 3's weight files: its class, counted among the layers in order. */
static void group_name(const struct scope *scope, size_t i, char *out, size_t size)
{
    char snake[40], other[40];
    size_t before = 0;
    keras_snake_case(scope->entries[i].class_name, snake, sizeof snake);
    for (size_t k = 0; k < i; k++) {
        if (scope->entries[k].kind == ENTRY_OPERATION)
            continue;
        keras_snake_case(scope->entries[k].class_name, other, sizeof other);
        before += !strcmp(other, snake);
    }
    if (before)
        snprintf(out, size, "%s_%zu", snake, before);
    else
        snprintf(out, size, "%s", snake);
}

/* The place of entry i, below that of the model that it belongs to. */
static struct keras_place place_of(const struct scope *scope, const struct keras_place *above, size_t i)
{
    struct keras_place place = {.top = scope->depth ? above->top : i, .nested = scope->depth > 0};
    const json_t *config = json_object_get(scope->entries[i].json, "config");
    char group[64];
    size_t index = 0;
    for (size_t k = 0; k < i; k++)
        index += scope->entries[k].kind != ENTRY_INPUT && scope->entries[k].kind != ENTRY_OPERATION;
    group_name(scope, i, group, sizeof group);
    snprintf(place.group, sizeof place.group, "%.150slayers/%.60s", above->group, group);
    snprintf(place.tensors, sizeof place.tensors, "%.70slayers.%zu.", above->tensors, index);
    place.frozen = above->frozen || json_is_false(json_object_get(config, "trainable"));
    return place;
}

static bool declare(struct scope *scope, const struct keras_place *above);

static bool declare_model(struct scope *scope, struct entry *entry, struct keras_place *place)
{
    struct scope *inner = scope->depth < MAX_DEPTH ? calloc(1, sizeof *inner) : NULL;
    size_t n = strlen(place->group);
    if (!inner)
        return refuse(scope, entry, "is a model too deep within models, or there is no memory for it", NULL);
    *inner = (struct scope){.reader = scope->reader, .out = scope->out, .json = entry->json, .depth = scope->depth + 1};
    entry->model = inner;
    inner->path = entry_path(scope, entry);
    snprintf(place->group + n, sizeof place->group - n, "/");
    return declare(inner, place);
}

static bool declare_layer(struct scope *scope, struct entry *entry, const struct keras_place *place)
{
    struct keras_path path = entry_path(scope, entry);
    struct layer *layer = keras_model_add(scope->reader, path.text, scope->out, place);
    if (!layer)
        return false;
    entry->layer = scope->out->model.n_layers - 1;
    bool good = keras_layer_read(scope->reader, entry->json, path.text, layer);
    if (!layer->name[0])
        snprintf(layer->name, sizeof layer->name, "%.60s", entry->name ? entry->name : strrchr(place->group, '/') + 1);
    return good;
}

static enum entry_kind kind_of(const json_t *json, const char *class_name)
{
    if (!strcmp(class_name, "InputLayer"))
        return ENTRY_INPUT;
    if (keras_is_model(class_name))
        return ENTRY_MODEL;
    return keras_is_operation(json) ? ENTRY_OPERATION : ENTRY_LAYER;
}

static bool declare_entry(struct scope *scope, size_t i, const struct keras_place *above)
{
    struct entry *entry = &scope->entries[i];
    const json_t *inbound = json_object_get(entry->json, "inbound_nodes");
    struct keras_place place = place_of(scope, above, i);
    entry->n_uses = scope->sequential || entry->kind == ENTRY_INPUT ? 1 : json_array_size(inbound);
    if (entry->n_uses > MAX_USES)
        return refuse(scope, entry, "is used too often", NULL);
    entry->uses = calloc(entry->n_uses + 1, sizeof *entry->uses);
    if (!entry->uses)
        return out_of_memory(scope);
    for (size_t k = 0; k < entry->n_uses; k++)
        entry->uses[k].json = json_array_get(inbound, k);
    if (entry->kind == ENTRY_MODEL)
        return declare_model(scope, entry, &place);
    return entry->kind != ENTRY_LAYER || declare_layer(scope, entry, &place);
}

/* config is the list of layers in old Sequential files. All layers are read, so that all problems are told. */
static bool declare(struct scope *scope, const struct keras_place *above)
{
    const json_t *config = json_object_get(scope->json, "config");
    bool bare = json_is_array(config), good = true;
    const char *class_name = keras_class_name(scope->json);
    scope->sequential = class_name && !strcmp(class_name, "Sequential");
    scope->layers = bare ? config : json_object_get(config, "layers");
    scope->path = keras_path(scope->path.text, bare ? "config" : "config/layers");
    size_t n = json_array_size(scope->layers);
    if (!n || n > MAX_ENTRIES) {
        keras_expected(scope->reader, scope->path.text, NULL, "a list of 1 to 1024 layers", scope->layers);
        return false;
    }
    scope->entries = calloc(n, sizeof *scope->entries);
    if (!scope->entries)
        return out_of_memory(scope);
    scope->n = n;
    for (size_t i = 0; i < n; i++) {
        struct entry *entry = &scope->entries[i];
        entry->json = json_array_get(scope->layers, i);
        entry->name = layer_name(entry->json);
        entry->class_name = keras_class_name(entry->json);
        if (!entry->class_name) {
            keras_expected(scope->reader, entry_path(scope, entry).text, NULL, "an object with class_name and config",
                           entry->json);
            return false;
        }
        entry->kind = kind_of(entry->json, entry->class_name);
    }
    for (size_t i = 0; i < n; i++)
        good &= declare_entry(scope, i, above);
    return good;
}

static void close_scope(struct scope *scope)
{
    for (size_t i = 0; i < scope->n; i++) {
        struct entry *entry = &scope->entries[i];
        for (size_t k = 0; entry->uses && k < entry->n_uses; k++)
            free(entry->uses[k].values);
        free(entry->uses);
        if (entry->model) {
            close_scope(entry->model);
            free(entry->model);
        }
    }
    free(scope->entries);
}

/* ---- values ---- */

static struct entry *find_entry(const struct scope *scope, const char *name)
{
    for (size_t i = 0; name && i < scope->n; i++)
        if (scope->entries[i].name && !strcmp(scope->entries[i].name, name))
            return &scope->entries[i];
    return NULL;
}

static struct use *find_use(const struct scope *scope, const struct keras_tensor *tensor)
{
    struct entry *entry = find_entry(scope, tensor->layer);
    size_t first = entry ? entry->first_use : 0;
    return entry && tensor->use >= first && tensor->use - first < entry->n_uses ? &entry->uses[tensor->use - first]
                                                                                : NULL;
}

/* Keras 2 counts the uses of a model within the model from 1, since it counts the making of the inner one too; Keras 3
   counts them from 0. Source: keras/engine/functional.py, get_network_config. */
static void find_first_uses(struct scope *scope, const json_t *references)
{
    struct keras_tensor tensor;
    for (size_t t = 0; keras_call_tensor(references, t, &tensor); t++) {
        struct entry *entry = find_entry(scope, tensor.layer);
        if (entry && entry->kind == ENTRY_MODEL && tensor.use == entry->n_uses)
            entry->first_use = 1;
    }
}

static bool give(const struct scope *scope, struct use *use, const size_t *values, size_t n)
{
    use->values = malloc((n + 1) * sizeof *use->values);
    if (!use->values)
        return out_of_memory(scope);
    memcpy(use->values, values, n * sizeof *values);
    use->n_values = n;
    use->done = true;
    return true;
}

/* A layer that the file does not have, for what a tensor says beside its layer. */
static size_t add_plain(const struct scope *scope, const struct layer_class *class, const char *class_name,
                        const size_t *inputs, size_t n)
{
    struct graph *graph = &scope->out->model;
    struct layer *layer = keras_model_add(scope->reader, scope->path.text, scope->out, NULL);
    if (!layer || layer_open(layer, class, NULL))
        return GRAPH_NONE;
    snprintf(layer->class_name, sizeof layer->class_name, "%s", class_name);
    snprintf(layer->name, sizeof layer->name, "%s_%zu", class_name, graph->n_layers - 1);
    return graph_node(graph, graph->n_layers - 1, inputs, n);
}

static size_t add_slice(const struct scope *scope, size_t value, size_t first, size_t n)
{
    size_t out = add_plain(scope, &layer_slice, "features", &value, 1);
    if (out != GRAPH_NONE) {
        struct slice *own = scope->out->model.layers[scope->out->model.n_layers - 1].own;
        own->first = first;
        own->n = n;
    }
    return out;
}

/* State s of a recurrent layer, counted as Keras gives them; its place among the states of the layer. False when there
   are fewer. */
static bool find_state(const struct layer *layer, size_t s, size_t *first, size_t *n)
{
    struct layer_states states;
    const struct rnn_cell_spec *cell;
    *first = 0;
    for (size_t p = 0; layer_states_at(layer, p, &states); p++)
        for (size_t k = 0; (cell = rnn_cell_spec_leaf(states.spec, k, NULL, 0)); k++)
            for (size_t i = 0; i < cell->class->states; i++, *first += cell->units)
                if (!s--) {
                    *n = cell->units;
                    return true;
                }
    return false;
}

/* A tensor of a recurrent layer beside its only output: one of the two of a Bidirectional, or a state. */
static size_t recurrent_tensor(const struct scope *scope, const struct entry *entry, size_t value, size_t tensor)
{
    const struct layer *layer = &scope->out->model.layers[entry->layer];
    const struct rnn_recurrence *part = layer_part(layer, 0);
    bool two = layer->class->two_outputs && layer->class->two_outputs(layer);
    size_t first = 0, n = 0;
    if (two && tensor < 2) {
        recurrent_widths(layer, &first, &n);
        return tensor ? add_slice(scope, value, first, n) : add_slice(scope, value, 0, first);
    }
    if (!tensor)
        return value;
    if (!part || !part->return_state || !find_state(layer, tensor - 1 - two, &first, &n))
        return GRAPH_NONE;
    size_t states = graph_states(&scope->out->model, value);
    return states == GRAPH_NONE ? GRAPH_NONE : add_slice(scope, states, first, n);
}

/* The value of a tensor, whose use is done; GRAPH_NONE with a problem. */
static size_t value_of(const struct scope *scope, const struct keras_tensor *tensor)
{
    const struct entry *entry = find_entry(scope, tensor->layer);
    const struct use *use = find_use(scope, tensor);
    size_t value = GRAPH_NONE;
    if (entry->kind == ENTRY_LAYER && layer_part(&scope->out->model.layers[entry->layer], 0))
        value = recurrent_tensor(scope, entry, use->values[0], tensor->tensor);
    else if (tensor->tensor < use->n_values)
        value = use->values[tensor->tensor];
    if (value == GRAPH_NONE && !*scope->reader->failed)
        refuse(scope, entry, "does not give a tensor that another layer takes (return_state, attention scores?)", NULL);
    return value;
}

/* ---- masks ---- */

/* Keras 3 writes the mask of a Masking or an Embedding out as operations: NotEqual, and for Masking Any behind it. True
   when a mask is that of such a layer, whose work it then is. */
static bool is_mask_of_layer(const struct scope *scope, const struct keras_tensor *mask)
{
    const struct entry *from = find_entry(scope, mask->layer);
    struct keras_tensor input, other;
    bool any = from && !strcmp(from->class_name, "Any");
    if (any && keras_call_tensor(from->uses[0].json, 0, &input))
        from = find_entry(scope, input.layer);
    if (!from || strcmp(from->class_name, "NotEqual") || !keras_call_tensor(from->uses[0].json, 0, &input))
        return false;
    for (size_t i = 0; i < scope->n; i++) {
        const struct entry *entry = &scope->entries[i];
        const json_t *config = json_object_get(entry->json, "config");
        if (!entry->n_uses || !keras_call_tensor(entry->uses[0].json, 0, &other) || strcmp(other.layer, input.layer))
            continue;
        if (any ? !strcmp(entry->class_name, "Masking")
                : !strcmp(entry->class_name, "Embedding") && json_is_true(json_object_get(config, "mask_zero")))
            return true;
    }
    return false;
}

/* A value with a mask that comes from another. */
static size_t add_mask(const struct scope *scope, size_t value, const struct keras_tensor *mask)
{
    size_t inputs[2] = {value, value_of(scope, mask)};
    return inputs[1] == GRAPH_NONE ? GRAPH_NONE : add_plain(scope, &layer_set_mask, "mask", inputs, 2);
}

/* In Keras 3 a recurrent layer that is called with initial states takes no mask but one that is given in the call: masks
   come by themselves where there is one tensor alone. Source: keras/src/layers/layer.py, Layer.__call__. */
static size_t without_mask(const struct scope *scope, size_t value)
{
    size_t out = add_plain(scope, &layer_identity, "no_mask", &value, 1);
    if (out != GRAPH_NONE)
        scope->out->model.layers[scope->out->model.n_layers - 1].masks = MASKS_STOP;
    return out;
}

/* ---- uses become nodes ---- */

/* Initial states that come from tensors, as one vector; GRAPH_NONE where the call has none. */
static bool initial_states(const struct scope *scope, const struct entry *entry, const struct keras_call *call,
                           size_t *all)
{
    size_t values[CALL_MAX_TENSORS], first, n, count = 0;
    *all = GRAPH_NONE;
    if (!call->n_states)
        return true;
    while (find_state(&scope->out->model.layers[entry->layer], count, &first, &n))
        count++;
    if (call->n_states != count) {
        char text[64];
        snprintf(text, sizeof text, "%zu initial states, found %zu", count, call->n_states);
        return refuse(scope, entry, "takes ", text);
    }
    for (size_t i = 0; i < count; i++)
        if ((values[i] = value_of(scope, &call->states[i])) == GRAPH_NONE)
            return false;
    *all = count == 1 ? values[0] : add_plain(scope, &layer_concatenate, "states", values, count);
    return *all != GRAPH_NONE || out_of_memory(scope);
}

/* The values that a call takes; the first with the call's mask. */
static bool call_inputs(const struct scope *scope, const struct keras_call *call, size_t *inputs)
{
    for (size_t i = 0; i < call->n_inputs; i++)
        if ((inputs[i] = value_of(scope, &call->inputs[i])) == GRAPH_NONE)
            return false;
    if (call->masked && !is_mask_of_layer(scope, &call->mask) && call->n_inputs)
        inputs[0] = add_mask(scope, inputs[0], &call->mask);
    return true;
}

/* What a use says that the layer's configuration does not. */
static bool check_call(const struct scope *scope, const struct entry *entry, const struct keras_call *call)
{
    struct layer *layer = &scope->out->model.layers[entry->layer];
    if (call->argument)
        return refuse(scope, entry, "is called with an argument that is not served: ", call->argument);
    if (call->n_states && !layer_part(layer, 0))
        return refuse(scope, entry, "is no recurrent layer, but is given initial states", NULL);
    if (call->causal && !keras_layer_set_causal(layer))
        return refuse(scope, entry, "is called with an argument that is not served: ", "use_causal_mask");
    return true;
}

static bool wire_layer(struct scope *scope, struct entry *entry, struct use *use)
{
    struct keras_call call;
    size_t inputs[CALL_MAX_TENSORS], initial;
    bool recurrent = layer_part(&scope->out->model.layers[entry->layer], 0) != NULL;
    keras_call_read(use->json, recurrent, &call);
    if (!check_call(scope, entry, &call) || !call_inputs(scope, &call, inputs) ||
        !initial_states(scope, entry, &call, &initial))
        return false;
    if (call.n_states && call.n_inputs && !call.masked && scope->reader->keras_major > 2)
        inputs[0] = without_mask(scope, inputs[0]);
    size_t output = call.n_inputs && inputs[0] != GRAPH_NONE
                        ? graph_node(&scope->out->model, entry->layer, inputs, call.n_inputs)
                        : GRAPH_NONE;
    if (output == GRAPH_NONE)
        return refuse(scope, entry, "takes no tensor of a layer, or there are too many", NULL);
    graph_initial(&scope->out->model, output, initial);
    return give(scope, use, &output, 1);
}

static bool wire(struct scope *scope, const size_t *inputs, size_t n_inputs, size_t *outputs, size_t *n_outputs);

static bool wire_model(struct scope *scope, struct entry *entry, struct use *use)
{
    struct keras_call call;
    size_t inputs[CALL_MAX_TENSORS], outputs[MAX_PORTS], n = 0;
    keras_call_read(use->json, false, &call);
    if (call.argument)
        return refuse(scope, entry, "is called with an argument that is not served: ", call.argument);
    if (!call_inputs(scope, &call, inputs) || (call.n_inputs && inputs[0] == GRAPH_NONE))
        return false;
    return wire(entry->model, inputs, call.n_inputs, outputs, &n) && give(scope, use, outputs, n);
}

/* keras_operation_read asks for the values of the tensors that it meets. */
static size_t operation_value(void *context, const struct keras_tensor *tensor)
{
    return value_of(context, tensor);
}

static bool wire_operation(struct scope *scope, struct entry *entry, struct use *use)
{
    size_t outputs[MAX_PORTS], n = 0;
    struct keras_path path = entry_path(scope, entry);
    return keras_operation_read(scope->reader, entry->json, use->json, path.text, scope->out, operation_value, scope,
                                outputs, &n) &&
           give(scope, use, outputs, n);
}

static bool wire_use(struct scope *scope, struct entry *entry, struct use *use)
{
    switch (entry->kind) {
    case ENTRY_LAYER:
        return wire_layer(scope, entry, use);
    case ENTRY_MODEL:
        return wire_model(scope, entry, use);
    case ENTRY_OPERATION:
        return wire_operation(scope, entry, use);
    default:
        return refuse(scope, entry, "is an input of the model, but not in input_layers", NULL);
    }
}

/* ---- a Sequential model ---- */

static bool wire_sequential(struct scope *scope, size_t value, size_t *output)
{
    for (size_t i = 0; i < scope->n; i++) {
        struct entry *entry = &scope->entries[i];
        if (entry->kind == ENTRY_INPUT)
            continue;
        size_t n = 1;
        if (entry->kind == ENTRY_MODEL) {
            if (!wire(entry->model, &value, 1, &value, &n))
                return false;
        } else if (entry->kind == ENTRY_LAYER) {
            value = graph_node(&scope->out->model, entry->layer, &value, 1);
        } else {
            return refuse(scope, entry, "is an operation, which a Sequential model cannot have", NULL);
        }
        if (value == GRAPH_NONE)
            return out_of_memory(scope);
    }
    *output = value;
    return true;
}

/* ---- a Functional model ---- */

/* The i-th tensor of input_layers or output_layers; false past the last. */
static bool port(const struct scope *scope, const char *key, size_t i, struct keras_tensor *out)
{
    return keras_call_tensor(json_object_get(json_object_get(scope->json, "config"), key), i, out);
}

/* The i-th input; files without input_layers mean all InputLayers. */
static bool input_port(const struct scope *scope, size_t i, struct keras_tensor *out)
{
    if (json_object_get(json_object_get(scope->json, "config"), "input_layers"))
        return port(scope, "input_layers", i, out);
    for (size_t k = 0; k < scope->n; k++)
        if (scope->entries[k].kind == ENTRY_INPUT && scope->entries[k].name && !i--) {
            *out = (struct keras_tensor){scope->entries[k].name, 0, 0};
            return true;
        }
    return false;
}

/* Whether any use was newly found to be needed by one that is. */
static bool mark_needed(struct scope *scope)
{
    struct keras_tensor tensor;
    bool more = false;
    for (size_t i = 0; i < scope->n; i++)
        for (size_t k = 0; k < scope->entries[i].n_uses; k++) {
            const struct use *use = &scope->entries[i].uses[k];
            struct keras_call call;
            keras_call_read(use->json, true, &call);
            bool skips = call.masked && is_mask_of_layer(scope, &call.mask);
            for (size_t t = 0; use->needed && keras_call_tensor(use->json, t, &tensor); t++) {
                struct use *from = find_use(scope, &tensor);
                if (!from || from->needed || (skips && !strcmp(tensor.layer, call.mask.layer)))
                    continue;
                more = from->needed = true;
            }
        }
    return more;
}

/* Whether all tensors that a use takes are there; *missing is a layer that does not exist. */
static bool is_ready(const struct scope *scope, const struct use *use, const char **missing)
{
    struct keras_tensor tensor;
    for (size_t t = 0; keras_call_tensor(use->json, t, &tensor); t++) {
        const struct use *from = find_use(scope, &tensor);
        if (!from)
            *missing = tensor.layer;
        if (!from || (from->needed && !from->done))
            return false;
    }
    return true;
}

/* Wire every use that can be; *left counts those that cannot yet. False with a problem. */
static bool wire_ready(struct scope *scope, size_t *left, size_t *wired, struct entry **stuck)
{
    for (size_t i = 0; i < scope->n; i++)
        for (size_t k = 0; k < scope->entries[i].n_uses; k++) {
            struct use *use = &scope->entries[i].uses[k];
            const char *missing = NULL;
            if (!use->needed || use->done)
                continue;
            if (!is_ready(scope, use, &missing)) {
                if (missing)
                    return refuse(scope, &scope->entries[i], "takes a tensor that the model does not have, of ",
                                  missing);
                ++*left;
                *stuck = &scope->entries[i];
                continue;
            }
            if (!wire_use(scope, &scope->entries[i], use))
                return false;
            ++*wired;
        }
    return true;
}

static bool take_inputs(struct scope *scope, const size_t *inputs, size_t n_inputs)
{
    struct keras_tensor tensor;
    size_t n = 0;
    for (; input_port(scope, n, &tensor); n++) {
        struct use *use = find_use(scope, &tensor);
        if (!use || n >= n_inputs)
            break;
        if (!use->done && !give(scope, use, &inputs[n], 1))
            return false;
        use->values[0] = inputs[n];
    }
    if (n == n_inputs && !input_port(scope, n, &tensor))
        return true;
    keras_error(scope->reader, scope->path.text,
                "a model is called with %zu tensors, which are not those of its "
                "input_layers",
                n_inputs);
    return false;
}

/* A model that is used again is wired anew. */
static void forget_uses(struct scope *scope)
{
    for (size_t i = 0; i < scope->n; i++)
        for (size_t k = 0; k < scope->entries[i].n_uses; k++) {
            struct use *use = &scope->entries[i].uses[k];
            free(use->values);
            *use = (struct use){.json = use->json};
        }
}

static bool wire_functional(struct scope *scope, const size_t *inputs, size_t n_inputs, size_t *outputs,
                            size_t *n_outputs)
{
    struct keras_tensor tensor;
    struct entry *stuck = NULL;
    forget_uses(scope);
    find_first_uses(scope, json_object_get(json_object_get(scope->json, "config"), "output_layers"));
    for (size_t i = 0; i < scope->n; i++)
        find_first_uses(scope, json_object_get(scope->entries[i].json, "inbound_nodes"));
    for (*n_outputs = 0; port(scope, "output_layers", *n_outputs, &tensor); ++*n_outputs) {
        struct use *use = find_use(scope, &tensor);
        if (!use || *n_outputs == MAX_PORTS) {
            keras_error(scope->reader, scope->path.text,
                        "output_layers names \"%.60s\", which is no layer of the model", tensor.layer);
            return false;
        }
        use->needed = true;
    }
    if (!*n_outputs) {
        keras_error(scope->reader, scope->path.text, "output_layers names no layer of the model");
        return false;
    }
    while (mark_needed(scope))
        ;
    if (!take_inputs(scope, inputs, n_inputs))
        return false;
    for (size_t left = 1, wired = 1; left && wired;) {
        left = wired = 0;
        if (!wire_ready(scope, &left, &wired, &stuck))
            return false;
        if (left && !wired)
            return refuse(scope, stuck, "is part of a circle", NULL);
    }
    for (size_t i = 0; i < *n_outputs; i++) {
        port(scope, "output_layers", i, &tensor);
        if ((outputs[i] = value_of(scope, &tensor)) == GRAPH_NONE)
            return false;
    }
    return true;
}

static bool wire(struct scope *scope, const size_t *inputs, size_t n_inputs, size_t *outputs, size_t *n_outputs)
{
    *n_outputs = 1;
    if (!scope->sequential)
        return wire_functional(scope, inputs, n_inputs, outputs, n_outputs);
    return n_inputs == 1 && wire_sequential(scope, inputs[0], outputs);
}

/* ---- the outermost model ---- */

static bool add_input(const struct scope *scope, const char *name, const struct layer_shape *shape, size_t *value)
{
    *value = graph_input(&scope->out->model, name, shape);
    return *value != GRAPH_NONE || out_of_memory(scope);
}

static bool add_inputs(const struct scope *scope, size_t *values, size_t *n)
{
    struct keras_tensor tensor;
    struct layer_shape shape;
    *n = 0;
    if (scope->sequential) {
        keras_sequential_shape(scope->reader, scope->json, scope->layers, scope->path.text, &shape);
        const struct entry *first = &scope->entries[0];
        *n = 1;
        return add_input(scope, first->kind == ENTRY_INPUT && first->name ? first->name : "inputs", &shape, values);
    }
    for (; input_port(scope, *n, &tensor); ++*n) {
        const struct entry *entry = find_entry(scope, tensor.layer);
        if (!entry || entry->kind != ENTRY_INPUT || *n == MAX_PORTS) {
            keras_error(scope->reader, scope->path.text, "input_layers names \"%.60s\", which is no InputLayer",
                        tensor.layer);
            return false;
        }
        keras_input_shape(scope->reader, entry->json, entry_path(scope, entry).text, &shape);
        if (!add_input(scope, entry->name, &shape, &values[*n]))
            return false;
    }
    return true;
}

/* The name of output i: that of its layer, with a number where others before it have the same. Source:
   keras/engine/functional.py, uniquify. */
static void output_name(const struct scope *scope, size_t i, char *out, size_t size)
{
    struct keras_tensor tensor, other;
    size_t again = 0;
    port(scope, "output_layers", i, &tensor);
    for (size_t k = 0; k < i && port(scope, "output_layers", k, &other); k++)
        again += !strcmp(tensor.layer, other.layer);
    if (again)
        snprintf(out, size, "%.40s_%zu", tensor.layer, again);
    else
        snprintf(out, size, "%s", tensor.layer);
}

/* Whether the outputs are all that one call of a recurrent layer gives, in order: its output (or the two of a
   Bidirectional) and its states. That is one output; answers have the states beside. */
static bool is_output_with_states(const struct scope *scope, size_t n, size_t *value)
{
    struct keras_tensor first, tensor;
    size_t count = 0, at, units;
    if (scope->sequential || !port(scope, "output_layers", 0, &first))
        return false;
    const struct entry *entry = find_entry(scope, first.layer);
    const struct layer *layer = entry->kind == ENTRY_LAYER ? &scope->out->model.layers[entry->layer] : NULL;
    const struct rnn_recurrence *part = layer ? layer_part(layer, 0) : NULL;
    if (!part)
        return false;
    while (part->return_state && find_state(layer, count, &at, &units))
        count++;
    count += layer->class->two_outputs && layer->class->two_outputs(layer) ? 2 : 1;
    for (size_t i = 0; i < n && port(scope, "output_layers", i, &tensor); i++)
        if (strcmp(tensor.layer, first.layer) || tensor.use != first.use || tensor.tensor != i)
            return false;
    *value = find_use(scope, &first)->values[0];
    return n == count;
}

static bool add_outputs(const struct scope *scope, const size_t *values, size_t n)
{
    size_t whole[1];
    if (is_output_with_states(scope, n, whole)) {
        values = whole;
        n = 1;
    }
    for (size_t i = 0; i < n; i++) {
        char name[GRAPH_NAME_BYTES];
        if (scope->sequential)
            snprintf(name, sizeof name, "%s",
                     scope->entries[scope->n - 1].name ? scope->entries[scope->n - 1].name : "outputs");
        else
            output_name(scope, i, name, sizeof name);
        if (!graph_output(&scope->out->model, name, values[i]))
            return out_of_memory(scope);
    }
    return true;
}

void keras_functional_read(struct keras_reader *reader, const json_t *json, const char *path, struct keras_model *out)
{
    struct scope scope = {.reader = reader, .out = out, .json = json};
    const struct keras_place top = {.group = ""};
    size_t inputs[MAX_PORTS], outputs[MAX_PORTS], n_inputs, n_outputs;
    snprintf(scope.path.text, sizeof scope.path.text, "%s", path);
    if (declare(&scope, &top) && add_inputs(&scope, inputs, &n_inputs) &&
        wire(&scope, inputs, n_inputs, outputs, &n_outputs) && add_outputs(&scope, outputs, n_outputs)) {
        keras_operation_ids(&out->model);
        keras_find_ids(&out->model);
    }
    close_scope(&scope);
}

/* ---- the inside of a TimeDistributed ---- */

static bool inner_layer(struct keras_reader *reader, const json_t *json, const char *path, size_t input,
                        struct keras_model *out)
{
    const struct keras_place place = {.group = "layer", .tensors = "layer."};
    struct layer *layer = keras_model_add(reader, path, out, &place);
    if (!layer || !keras_layer_read(reader, json, path, layer))
        return false;
    size_t output = graph_node(&out->model, 0, &input, 1);
    return output != GRAPH_NONE && graph_output(&out->model, "outputs", output);
}

static bool inner_model(struct keras_reader *reader, const json_t *json, const char *path, size_t input,
                        struct keras_model *out)
{
    struct scope scope = {.reader = reader, .out = out, .json = json};
    const struct keras_place above = {.group = "layer/", .tensors = "layer."};
    size_t outputs[MAX_PORTS], n = 0;
    snprintf(scope.path.text, sizeof scope.path.text, "%s", path);
    bool good = declare(&scope, &above) && wire(&scope, &input, 1, outputs, &n);
    if (good && n != 1)
        keras_error(reader, path, "a model inside a TimeDistributed is served where it has one output");
    good = good && n == 1 && graph_output(&out->model, "outputs", outputs[0]);
    close_scope(&scope);
    return good;
}

void keras_inner_read(struct keras_reader *reader, const json_t *json, const char *path, struct keras_model *out)
{
    const struct layer_shape any = {.sequence = true};
    const char *class_name = keras_class_name(json);
    *out = (struct keras_model){.keras_major = reader->keras_major};
    size_t input = graph_input(&out->model, "inputs", &any);
    bool good =
        input != GRAPH_NONE && (keras_is_model(class_name) ? inner_model : inner_layer)(reader, json, path, input, out);
    if (good)
        keras_find_ids(&out->model);
    else if (!*reader->failed)
        keras_error(reader, path, "out of memory");
}
