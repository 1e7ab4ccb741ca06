/* Finds the graph's value for a tensor of the file: the output of a use of a layer, a part of this output, or a
   mask. */
#include "core/layers/conv_lstm.h"
#include "core/layers/masking.h"
#include "core/layers/recurrent.h"
#include "core/layers/slice.h"
#include "scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry *scope_entry(const struct scope *scope, const char *name)
{
    for (size_t i = 0; name && i < scope->n; i++)
        if (scope->entries[i].name && !strcmp(scope->entries[i].name, name))
            return &scope->entries[i];
    return NULL;
}

struct use *scope_use(const struct scope *scope, const struct keras_tensor *tensor)
{
    struct entry *entry = scope_entry(scope, tensor->layer);
    size_t first = entry ? entry->first_use : 0;
    return entry && tensor->use >= first && tensor->use - first < entry->n_uses ? &entry->uses[tensor->use - first]
                                                                                : NULL;
}

bool scope_give(const struct scope *scope, struct use *use, const size_t *values, size_t n)
{
    use->values = malloc((n + 1) * sizeof *use->values);
    if (!use->values)
        return scope_out_of_memory(scope);
    memcpy(use->values, values, n * sizeof *values);
    use->n_values = n;
    use->done = true;
    return true;
}

size_t scope_add(const struct scope *scope, const struct layer_class *class, const char *class_name,
                 const size_t *inputs, size_t n)
{
    struct graph *graph = &scope->out->model;
    struct layer *layer = keras_model_add(scope->reader, scope->path.text, scope->out, NULL);
    if (!layer)
        return GRAPH_NONE;
    if (layer_open(layer, class, NULL)) {
        scope_out_of_memory(scope);
        return GRAPH_NONE;
    }
    snprintf(layer->class_name, sizeof layer->class_name, "%s", class_name);
    snprintf(layer->name, sizeof layer->name, "%s_%zu", class_name, graph->n_layers - 1);
    size_t value = graph_node(graph, graph->n_layers - 1, inputs, n);
    if (value == GRAPH_NONE)
        scope_out_of_memory(scope);
    return value;
}

static size_t add_slice(const struct scope *scope, size_t value, size_t first, size_t n)
{
    size_t out = scope_add(scope, &layer_slice, "features", &value, 1);
    if (out != GRAPH_NONE) {
        struct slice *own = scope->out->model.layers[scope->out->model.n_layers - 1].own;
        own->first = first;
        own->n = n;
    }
    return out;
}

bool scope_state(const struct layer *layer, size_t s, size_t *first, size_t *n)
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

/* A tensor of a recurrent layer: its output, one of the two outputs of a Bidirectional, or a state. */
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
    if (!part || !part->return_state || !scope_state(layer, tensor - 1 - two, &first, &n))
        return GRAPH_NONE;
    size_t states = graph_states(&scope->out->model, value);
    if (states == GRAPH_NONE)
        scope_out_of_memory(scope);
    return states == GRAPH_NONE ? GRAPH_NONE : add_slice(scope, states, first, n);
}

/* A tensor of a ConvLSTM: its output, h or c. */
static size_t frames_tensor(const struct scope *scope, const struct entry *entry, size_t value, size_t tensor)
{
    const struct conv_lstm *frames = scope->out->model.layers[entry->layer].own;
    bool sequences = frames->return_sequences;
    if (!tensor)
        return value;
    if (!frames->return_state || tensor > 2)
        return GRAPH_NONE;
    size_t inputs[2] = {graph_states(&scope->out->model, value), value};
    if (inputs[0] == GRAPH_NONE)
        scope_out_of_memory(scope);
    size_t out = inputs[0] == GRAPH_NONE ? GRAPH_NONE : scope_add(scope, &layer_frame_state, "state", inputs, 2);
    if (out != GRAPH_NONE)
        *(struct frame_state *)scope->out->model.layers[scope->out->model.n_layers - 1].own =
            (struct frame_state){.index = tensor - 1, .sequences = sequences};
    return out;
}

size_t scope_value(const struct scope *scope, const struct keras_tensor *tensor)
{
    const struct entry *entry = scope_entry(scope, tensor->layer);
    const struct use *use = scope_use(scope, tensor);
    size_t value = GRAPH_NONE;
    if (entry->kind == ENTRY_LAYER && layer_part(&scope->out->model.layers[entry->layer], 0))
        value = recurrent_tensor(scope, entry, use->values[0], tensor->tensor);
    else if (entry->kind == ENTRY_LAYER && scope->out->model.layers[entry->layer].class == &layer_conv_lstm)
        value = frames_tensor(scope, entry, use->values[0], tensor->tensor);
    else if (tensor->tensor < use->n_values)
        value = use->values[tensor->tensor];
    if (value == GRAPH_NONE && !*scope->reader->failed)
        scope_refuse(
            scope, entry,
            "does not have an output that another layer takes (is return_state or return_attention_scores missing?)",
            NULL);
    return value;
}

/* ---- masks ---- */

/* Keras 3 writes the mask of a Masking or an Embedding as operations: NotEqual, followed by Any for Masking. Returns
   true for such a mask. The layer itself then makes the mask. */
static bool is_mask_of_layer(const struct scope *scope, const struct keras_tensor *mask)
{
    const struct entry *from = scope_entry(scope, mask->layer);
    struct keras_tensor input, other;
    bool any = from && !strcmp(from->class_name, "Any");
    if (any && keras_call_tensor(from->uses[0].json, 0, &input))
        from = scope_entry(scope, input.layer);
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

/* Whether a layer before this tensor stops masks. */
static bool is_stopped(const struct scope *scope, const struct keras_tensor *input)
{
    struct keras_tensor tensor = *input;
    for (size_t i = 0; i < scope->n; i++) {
        const struct entry *entry = scope_entry(scope, tensor.layer);
        const struct use *use = scope_use(scope, &tensor);
        if (!use || entry->kind == ENTRY_INPUT)
            return false;
        if (entry->kind == ENTRY_LAYER && scope->out->model.layers[entry->layer].masks == MASKS_STOP)
            return true;
        if (!keras_call_tensor(use->json, 0, &tensor))
            return false;
    }
    return false;
}

bool scope_mask_comes_with(const struct scope *scope, const struct keras_tensor *mask, const struct keras_tensor *input)
{
    return is_mask_of_layer(scope, mask) && !is_stopped(scope, input);
}

size_t scope_add_mask(const struct scope *scope, size_t value, const struct keras_tensor *mask)
{
    size_t inputs[2] = {value, scope_value(scope, mask)};
    return inputs[1] == GRAPH_NONE ? GRAPH_NONE : scope_add(scope, &layer_set_mask, "mask", inputs, 2);
}

/* In Keras 3, a recurrent layer that is called with initial states uses only a mask that is given in the call, because
   masks of tensors apply only to calls with one tensor. Source: keras/src/layers/layer.py, Layer.__call__. */
size_t scope_without_mask(const struct scope *scope, size_t value)
{
    size_t out = scope_add(scope, &layer_identity, "no_mask", &value, 1);
    if (out != GRAPH_NONE)
        scope->out->model.layers[scope->out->model.n_layers - 1].masks = MASKS_STOP;
    return out;
}
