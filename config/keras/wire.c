/* The second step from a model of layers to a graph: converts the uses of the layers to nodes, in topological order.
   Nested models are inlined. */
#include "core/layers/activation.h"
#include "core/layers/attention.h"
#include "core/layers/conv_lstm.h"
#include "core/layers/merge.h"
#include "core/layers/reshape.h"
#include "operation.h"
#include "scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- uses to nodes ---- */

/* Whether the layer is a ConvLSTM, whose states are frames. */
static bool is_frames(const struct layer *layer)
{
    return layer->class == &layer_conv_lstm;
}

static size_t count_states(const struct layer *layer)
{
    size_t count = 0, first, n;
    while (scope_state(layer, count, &first, &n))
        count++;
    return is_frames(layer) ? 2 : count;
}

/* Flatten a frame to a vector. */
static size_t flattened(const struct scope *scope, size_t value)
{
    size_t out = scope_add(scope, &layer_reshape, "flat", &value, 1);
    if (out != GRAPH_NONE)
        *(struct reshape *)scope->out->model.layers[scope->out->model.n_layers - 1].own =
            (struct reshape){.rank = 1, .target = {SIZE_MAX}};
    return out;
}

/* Join the initial states of a call to one vector; GRAPH_NONE if the call has none. */
static bool initial_states(const struct scope *scope, const struct entry *entry, const struct keras_call *call,
                           size_t *all)
{
    size_t values[CALL_MAX_TENSORS];
    *all = GRAPH_NONE;
    if (!call->n_states)
        return true;
    size_t count = count_states(&scope->out->model.layers[entry->layer]);
    bool frames = is_frames(&scope->out->model.layers[entry->layer]);
    if (call->n_states != count) {
        char text[64];
        snprintf(text, sizeof text, "%zu initial states, found %zu", count, call->n_states);
        return scope_refuse(scope, entry, "takes ", text);
    }
    for (size_t i = 0; i < count; i++)
        if ((values[i] = scope_value(scope, &call->states[i])) == GRAPH_NONE ||
            (frames && (values[i] = flattened(scope, values[i])) == GRAPH_NONE))
            return false;
    *all = count == 1 ? values[0] : scope_add(scope, &layer_concatenate, "states", values, count);
    return *all != GRAPH_NONE || scope_out_of_memory(scope);
}

/* A Softmax takes its mask as a second input, because the mask changes the result. */
static bool takes_mask(const struct scope *scope, const struct entry *entry)
{
    return entry->kind == ENTRY_LAYER && scope->out->model.layers[entry->layer].class == &layer_softmax;
}

/* Whether input i of a call has its mask anyway, so that the operations that compute the mask in the file are not
   needed. */
static bool is_implied(const struct scope *scope, const struct entry *entry, const struct keras_call *call, size_t i)
{
    return i < call->n_inputs && call->masked[i] && !takes_mask(scope, entry) &&
           scope_mask_comes_with(scope, &call->masks[i], &call->inputs[i]);
}

/* Apply the mask of the call to input i. */
static size_t with_mask(const struct scope *scope, const struct entry *entry, const struct keras_call *call, size_t i,
                        size_t value)
{
    if (call->masked[i])
        return is_implied(scope, entry, call, i) ? value : scope_add_mask(scope, value, &call->masks[i]);
    return call->masks_given ? scope_without_mask(scope, value) : value;
}

/* Find the inputs of a call, with the call's masks; *n is their number. */
static bool call_inputs(const struct scope *scope, const struct entry *entry, const struct keras_call *call,
                        size_t *inputs, size_t *n)
{
    for (*n = 0; *n < call->n_inputs; ++*n) {
        if ((inputs[*n] = scope_value(scope, &call->inputs[*n])) == GRAPH_NONE)
            return false;
        if (*n < CALL_MAX_MASKS && !takes_mask(scope, entry))
            inputs[*n] = with_mask(scope, entry, call, *n, inputs[*n]);
    }
    if (*n == 1 && call->masked[0] && takes_mask(scope, entry))
        inputs[(*n)++] = scope_value(scope, &call->masks[0]);
    if (call->has_attention_mask && *n == 2)
        inputs[(*n)++] = inputs[1]; /* the key */
    if (call->has_attention_mask && *n == 3)
        inputs[(*n)++] = scope_value(scope, &call->attention_mask);
    return !*n || inputs[*n - 1] != GRAPH_NONE;
}

/* Check the arguments of a call, which are not in the layer's configuration. */
static bool check_call(const struct scope *scope, const struct entry *entry, const struct keras_call *call)
{
    struct layer *layer = &scope->out->model.layers[entry->layer];
    if (call->argument)
        return scope_refuse(scope, entry, "is called with an argument that is not supported: ", call->argument);
    if (call->n_states && !layer_part(layer, 0) && !is_frames(layer))
        return scope_refuse(scope, entry, "is not a recurrent layer, but is called with initial states", NULL);
    if (call->causal && !keras_layer_set_causal(layer))
        return scope_refuse(scope, entry, "is called with an argument that is not supported: ", "use_causal_mask");
    if (call->has_attention_mask && layer->class != &layer_multi_head_attention)
        return scope_refuse(scope, entry, "is called with an argument that is not supported: ", "attention_mask");
    if (call->scores && !layer->class->second)
        return scope_refuse(scope, entry,
                            "is called with an argument that is not supported: ", "return_attention_scores");
    return true;
}

static bool wire_layer(struct scope *scope, struct entry *entry, struct use *use)
{
    struct keras_call call;
    size_t inputs[CALL_MAX_TENSORS + 2], initial, n, outputs[2];
    const struct layer *layer = &scope->out->model.layers[entry->layer];
    bool recurrent = layer_part(layer, 0) || is_frames(layer);
    keras_call_read(use->json, recurrent, &call);
    if (!check_call(scope, entry, &call) || !call_inputs(scope, entry, &call, inputs, &n) ||
        !initial_states(scope, entry, &call, &initial))
        return false;
    if (call.n_states && n && !call.masked[0] && scope->reader->keras_major > 2)
        inputs[0] = scope_without_mask(scope, inputs[0]);
    if (!n || inputs[0] == GRAPH_NONE)
        return scope_refuse(scope, entry, "is called without a tensor of another layer", NULL);
    outputs[0] = graph_node(&scope->out->model, entry->layer, inputs, n);
    if (outputs[0] == GRAPH_NONE && (n > GRAPH_MAX_INPUTS || scope->out->model.n_nodes == GRAPH_MAX_NODES))
        return scope_refuse(scope, entry, "is called with too many tensors, or there are too many nodes", NULL);
    if (outputs[0] == GRAPH_NONE)
        return scope_out_of_memory(scope);
    graph_initial(&scope->out->model, outputs[0], initial);
    outputs[1] = call.scores ? graph_second(&scope->out->model, outputs[0]) : GRAPH_NONE;
    if (call.scores && outputs[1] == GRAPH_NONE)
        return scope_out_of_memory(scope);
    return scope_give(scope, use, outputs, call.scores ? 2 : 1);
}

static bool wire_model(struct scope *scope, struct entry *entry, struct use *use)
{
    struct keras_call call;
    size_t inputs[CALL_MAX_TENSORS + 2], outputs[MAX_PORTS], n_inputs, n = 0;
    keras_call_read(use->json, false, &call);
    if (call.argument || call.has_attention_mask || call.scores)
        return scope_refuse(scope, entry, "is called with an argument that is not supported: ",
                            call.argument ? call.argument : "attention_mask or return_attention_scores");
    if (!call_inputs(scope, entry, &call, inputs, &n_inputs) || (n_inputs && inputs[0] == GRAPH_NONE))
        return false;
    return scope_wire(entry->model, inputs, n_inputs, outputs, &n) && scope_give(scope, use, outputs, n);
}

/* A callback for keras_operation_read. */
static size_t operation_value(void *context, const struct keras_tensor *tensor)
{
    return scope_value(context, tensor);
}

static bool wire_operation(struct scope *scope, struct entry *entry, struct use *use)
{
    size_t outputs[MAX_PORTS], n = 0;
    struct keras_path path = scope_entry_path(scope, entry);
    return keras_operation_read(scope->reader, entry->json, use->json, path.text, scope->out, operation_value, scope,
                                outputs, &n) &&
           scope_give(scope, use, outputs, n);
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
        return scope_refuse(scope, entry, "is an input of the model, but not in input_layers", NULL);
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
            if (!scope_wire(entry->model, &value, 1, &value, &n))
                return false;
        } else if (entry->kind == ENTRY_LAYER) {
            value = graph_node(&scope->out->model, entry->layer, &value, 1);
        } else {
            return scope_refuse(scope, entry, "is an operation, which a Sequential model cannot have", NULL);
        }
        if (value == GRAPH_NONE)
            return scope_out_of_memory(scope);
    }
    *output = value;
    return true;
}

/* ---- a Functional model ---- */

bool scope_port(const struct scope *scope, const char *key, size_t i, struct keras_tensor *out)
{
    return keras_call_tensor(json_object_get(json_object_get(scope->json, "config"), key), i, out);
}

bool scope_input_port(const struct scope *scope, size_t i, struct keras_tensor *out)
{
    if (json_object_get(json_object_get(scope->json, "config"), "input_layers"))
        return scope_port(scope, "input_layers", i, out);
    for (size_t k = 0; k < scope->n; k++)
        if (scope->entries[k].kind == ENTRY_INPUT && scope->entries[k].name && !i--) {
            *out = (struct keras_tensor){scope->entries[k].name, 0, 0};
            return true;
        }
    return false;
}

/* Keras 2 counts the uses of a nested model from 1, because building the nested model counts as a use. Keras 3 counts
   them from 0. Source: keras/engine/functional.py, get_network_config. */
static void find_first_uses(struct scope *scope, const json_t *references)
{
    struct keras_tensor tensor;
    for (size_t t = 0; keras_call_tensor(references, t, &tensor); t++) {
        struct entry *entry = scope_entry(scope, tensor.layer);
        if (entry && entry->kind == ENTRY_MODEL && tensor.use == entry->n_uses)
            entry->first_use = 1;
    }
}

/* Whether a tensor of a call is an implied mask. */
static bool is_implied_mask(const struct scope *scope, const struct entry *entry, const struct keras_call *call,
                            const struct keras_tensor *tensor)
{
    for (size_t i = 0; i < CALL_MAX_MASKS; i++)
        if (is_implied(scope, entry, call, i) && !strcmp(tensor->layer, call->masks[i].layer))
            return true;
    return false;
}

/* Mark the uses whose tensors a needed use takes. Returns true if any use was newly marked. */
static bool mark_needed(struct scope *scope)
{
    struct keras_tensor tensor;
    bool more = false;
    for (size_t i = 0; i < scope->n; i++)
        for (size_t k = 0; k < scope->entries[i].n_uses; k++) {
            const struct use *use = &scope->entries[i].uses[k];
            struct keras_call call;
            keras_call_read(use->json, true, &call);
            for (size_t t = 0; use->needed && keras_call_tensor(use->json, t, &tensor); t++) {
                struct use *from = scope_use(scope, &tensor);
                if (!from || from->needed || is_implied_mask(scope, &scope->entries[i], &call, &tensor))
                    continue;
                more = from->needed = true;
            }
        }
    return more;
}

/* Whether all input tensors of a use are available. If a layer does not exist, *missing is its name. */
static bool is_ready(const struct scope *scope, const struct use *use, const char **missing)
{
    struct keras_tensor tensor;
    for (size_t t = 0; keras_call_tensor(use->json, t, &tensor); t++) {
        const struct use *from = scope_use(scope, &tensor);
        if (!from)
            *missing = tensor.layer;
        if (!from || (from->needed && !from->done))
            return false;
    }
    return true;
}

/* Wire every use whose inputs are available; *left counts the other uses. Returns false with a problem added. */
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
                    return scope_refuse(scope, &scope->entries[i],
                                        "takes a tensor of a layer that does not exist: ", missing);
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
    for (; scope_input_port(scope, n, &tensor); n++) {
        struct use *use = scope_use(scope, &tensor);
        if (!use || n >= n_inputs)
            break;
        if (!use->done && !scope_give(scope, use, &inputs[n], 1))
            return false;
        use->values[0] = inputs[n];
    }
    if (n == n_inputs && !scope_input_port(scope, n, &tensor))
        return true;
    keras_error(scope->reader, scope->path.text,
                "a model is called with %zu tensors, which do not match its "
                "input_layers",
                n_inputs);
    return false;
}

/* Forget the values of the previous use of this model, because each use is wired again. */
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
    for (*n_outputs = 0; scope_port(scope, "output_layers", *n_outputs, &tensor); ++*n_outputs) {
        struct use *use = scope_use(scope, &tensor);
        if (!use || *n_outputs == MAX_PORTS) {
            keras_error(scope->reader, scope->path.text,
                        "output_layers names \"%.60s\", which is not a layer of the model", tensor.layer);
            return false;
        }
        use->needed = true;
    }
    if (!*n_outputs) {
        keras_error(scope->reader, scope->path.text, "output_layers does not name a layer of the model");
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
            return scope_refuse(scope, stuck, "is part of a cycle", NULL);
    }
    for (size_t i = 0; i < *n_outputs; i++) {
        scope_port(scope, "output_layers", i, &tensor);
        if ((outputs[i] = scope_value(scope, &tensor)) == GRAPH_NONE)
            return false;
    }
    return true;
}

bool scope_wire(struct scope *scope, const size_t *inputs, size_t n_inputs, size_t *outputs, size_t *n_outputs)
{
    *n_outputs = 1;
    if (!scope->sequential)
        return wire_functional(scope, inputs, n_inputs, outputs, n_outputs);
    return n_inputs == 1 && wire_sequential(scope, inputs[0], outputs);
}
