/* Attributes, operands, layers and weights of a node. */
#include "call.h"
#include "fold.h"
#include "onnx_model.h"
#include "scope.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Added to a sentence that does not say what to do. */
static const char remedy[] =
    "; export the model again, with fixed sizes except for the batch and the timesteps, or serve "
    "the file of Keras or PyTorch from which it was exported";

bool onnx_refuse(const struct onnx_call *call, const char *format, ...)
{
    char text[600];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!*call->c->reader.failed)
        keras_error(&call->c->reader, "", "node \"%.100s\" (%.40s) %s%s", call->name, call->op, text,
                    strchr(text, ';') ? "" : remedy);
    return false;
}

bool onnx_no_memory(const struct onnx_call *call)
{
    call->c->no_memory = true;
    if (!*call->c->reader.failed)
        keras_error(&call->c->reader, "", "out of memory");
    return false;
}

/* ---- attributes ---- */

static json_t *attribute(const struct onnx_call *call, const char *key)
{
    json_t *value = json_object_get(json_object_get(call->node, "attributes"), key);
    return json_is_null(value) ? NULL : value;
}

bool onnx_has(const struct onnx_call *call, const char *key)
{
    return attribute(call, key) != NULL;
}

long onnx_int(const struct onnx_call *call, const char *key, long otherwise)
{
    const json_t *value = attribute(call, key);
    return json_is_integer(value) ? (long)json_integer_value(value) : otherwise;
}

double onnx_float(const struct onnx_call *call, const char *key, double otherwise)
{
    const json_t *value = attribute(call, key);
    return json_is_number(value) ? json_number_value(value) : otherwise;
}

const char *onnx_text(const struct onnx_call *call, const char *key, const char *otherwise)
{
    const json_t *value = attribute(call, key);
    return json_is_string(value) ? json_string_value(value) : otherwise;
}

bool onnx_ints(const struct onnx_call *call, const char *key, size_t operand, size_t most, long *out, size_t *n)
{
    const json_t *list = attribute(call, key);
    const struct onnx_constant *constant = operand == SIZE_MAX ? NULL : onnx_constant(call, operand);
    *n = 0;
    if (operand != SIZE_MAX && onnx_given(call, operand)) {
        size_t elements;
        if (!constant || !constant->whole || !onnx_elements(constant, &elements) || elements > most)
            return onnx_refuse(call, "is served with %s that are known when the model is loaded, at most %zu", key,
                               most);
        for (size_t i = 0; i < elements; i++) {
            struct onnx_number number = constant->wholes[constant->uniform ? 0 : i];
            if (!onnx_known(number))
                return onnx_refuse(call, "is served with %s that do not depend on the input's size", key);
            out[(*n)++] = (long)number.value;
        }
        return true;
    }
    if (json_is_integer(list))
        out[(*n)++] = (long)json_integer_value(list);
    if (json_array_size(list) > most)
        return onnx_refuse(call, "has more than %zu %s", most, key);
    for (size_t i = 0; i < json_array_size(list); i++)
        out[(*n)++] = (long)json_integer_value(json_array_get(list, i));
    return true;
}

bool onnx_axis(const struct onnx_call *call, long axis, size_t rank, size_t *out)
{
    long at = axis < 0 ? axis + (long)rank : axis;
    *out = (size_t)at;
    return (at >= 0 && at < (long)rank) || onnx_refuse(call, "has axis %ld, and its input has %zu axes", axis, rank);
}

/* ---- operands ---- */

bool onnx_given(const struct onnx_call *call, size_t i)
{
    return i < call->n_in && call->in[i].kind != ONNX_NOTHING;
}

bool onnx_is_outer_tensor(const struct onnx_call *call, const char *name)
{
    for (const struct onnx_scope *scope = call->scope; scope; scope = scope->outer)
        if (json_object_get(json_object_get(scope->graph, "tensors"), name))
            return true;
    return false;
}

bool onnx_wants(const struct onnx_call *call, size_t output)
{
    const char *name = json_string_value(json_array_get(json_object_get(call->node, "out"), output));
    return name && *name && json_object_get(call->c->needed, name);
}

const struct onnx_constant *onnx_constant(const struct onnx_call *call, size_t i)
{
    return i < call->n_in && call->in[i].kind == ONNX_CONSTANT ? &call->in[i].constant : NULL;
}

struct onnx_tensor *onnx_operand(const struct onnx_call *call, size_t i)
{
    if (i < call->n_in && call->in[i].kind == ONNX_TENSOR)
        return &call->in[i].tensor;
    onnx_refuse(call, "is served with operand %zu that depends on the model's input", i + 1);
    return NULL;
}

double onnx_element(const struct onnx_constant *constant, size_t i)
{
    size_t at = constant->uniform ? 0 : i;
    return constant->whole ? (double)constant->wholes[at].value : (double)constant->floats[at];
}

bool onnx_elements(const struct onnx_constant *constant, size_t *n)
{
    struct onnx_number total = onnx_whole(1);
    for (size_t i = 0; i < constant->rank; i++)
        if (constant->sizes[i].value < 0 || !onnx_multiply(total, constant->sizes[i], &total))
            return false;
    *n = (size_t)total.value;
    return onnx_known(total) && total.value >= 0;
}

bool onnx_count_folded(const struct onnx_call *call, size_t n)
{
    enum { FOR_EACH = 8 }; /* what folding may make of each number of the file */
    struct onnx_convert *c = call->c;
    if (!c->most_folded) {
        c->most_folded = ONNX_MAX_FOLDED;
        for (size_t i = 0; i < c->from->n; i++)
            c->most_folded += FOR_EACH * c->from->tensors[i].elements;
    }
    if (n > ONNX_MAX_FOLDED || n > c->most_folded - c->folded)
        return onnx_refuse(call, "takes or gives constants that are too large for a file of this size");
    c->folded += n;
    return true;
}

const float *onnx_floats(const struct onnx_call *call, const struct onnx_constant *constant)
{
    size_t n;
    if (!constant->whole && !constant->uniform)
        return constant->floats;
    if (!onnx_elements(constant, &n)) {
        onnx_refuse(call, "takes a constant of open size");
        return NULL;
    }
    if (!onnx_count_folded(call, n))
        return NULL;
    float *out = onnx_memory(call, n, sizeof *out);
    for (size_t i = 0; out && i < n; i++) {
        if (constant->whole && !onnx_known(constant->wholes[constant->uniform ? 0 : i])) {
            onnx_refuse(call, "computes with the size of the model's input, which is not served");
            return NULL;
        }
        out[i] = (float)onnx_element(constant, i);
    }
    return out;
}

bool onnx_all(const struct onnx_constant *constant, double number)
{
    for (size_t i = 0; i < constant->n; i++)
        if (onnx_element(constant, i) != number || (constant->whole && !onnx_known(constant->wholes[i])))
            return false;
    return true;
}

void *onnx_memory(const struct onnx_call *call, size_t n, size_t size)
{
    struct onnx_convert *c = call->c;
    if (c->n_memory == c->room) {
        size_t room = c->room ? 2 * c->room : 64;
        void **grown = realloc(c->memory, room * sizeof *grown);
        if (!grown) {
            onnx_no_memory(call);
            return NULL;
        }
        c->memory = grown;
        c->room = room;
    }
    void *block = calloc(n + 1, size);
    if (!block)
        onnx_no_memory(call);
    else
        c->memory[c->n_memory++] = block;
    return block;
}

void onnx_memory_free(struct onnx_memory *memory)
{
    for (size_t i = 0; i < memory->n; i++)
        free(memory->blocks[i]);
    free(memory->blocks);
    *memory = (struct onnx_memory){.n = 0};
}

struct onnx_number onnx_unknown(const struct onnx_call *call)
{
    if (call->c->n_symbols == UINT8_MAX) {
        onnx_refuse(call, "is one of too many whose size is open; export the model with fixed sizes");
        return onnx_whole(1);
    }
    return onnx_symbol(++call->c->n_symbols);
}

/* ---- layers ---- */

struct layer *onnx_layer(const struct onnx_call *call, const struct layer_class *class, const char *class_name)
{
    struct keras_place place = {.nested = false};
    snprintf(place.tensors, sizeof place.tensors, "layers.%zu.", call->c->out->model.n_layers);
    struct layer *layer = keras_model_add(&call->c->reader, "", call->c->out, &place);
    if (!layer)
        return NULL;
    if (layer_open(layer, class, NULL)) {
        onnx_no_memory(call);
        return NULL;
    }
    layer->masks = MASKS_STOP;
    snprintf(layer->class_name, sizeof layer->class_name, "%s", class_name);
    snprintf(layer->name, sizeof layer->name, "%.60s", call->name);
    return layer;
}

size_t onnx_node(const struct onnx_call *call, const size_t *inputs, size_t n)
{
    struct graph *graph = &call->c->out->model;
    for (size_t i = 0; i < n; i++)
        if (inputs[i] == GRAPH_NONE)
            return GRAPH_NONE;
    size_t value = graph_node(graph, graph->n_layers - 1, inputs, n);
    if (value == GRAPH_NONE && graph->n_nodes < GRAPH_MAX_NODES && n <= GRAPH_MAX_INPUTS)
        onnx_no_memory(call);
    else if (value == GRAPH_NONE)
        onnx_refuse(call, "is one of too many layers");
    return value;
}

static struct named_tensor *new_tensor(const struct onnx_call *call)
{
    struct onnx_convert *c = call->c;
    if (c->to->n == c->to_room) {
        size_t room = c->to_room ? 2 * c->to_room : 32;
        struct named_tensor *grown = realloc(c->to->tensors, room * sizeof *grown);
        if (!grown)
            return NULL;
        c->to->tensors = grown;
        c->to_room = room;
    }
    return &c->to->tensors[c->to->n];
}

float *onnx_weights_of(const struct onnx_call *call, size_t layer, const char *name, size_t rank, const size_t *shape)
{
    char full[200];
    size_t elements = 1;
    struct named_tensor *tensor = new_tensor(call);
    bool fits = tensor != NULL;
    for (size_t i = 0; i < rank; i++)
        fits = fits && rnn_size_mul(elements, shape[i], &elements);
    float *numbers = fits ? onnx_memory(call, elements, sizeof *numbers) : NULL;
    if (!numbers) {
        onnx_no_memory(call);
        return NULL;
    }
    snprintf(full, sizeof full, "layers.%zu.%.100s", layer, name);
    *tensor = (struct named_tensor){.name = strdup(full),
                                    .type_name = strdup("F32"),
                                    .type = TENSOR_F32,
                                    .rank = rank,
                                    .elements = elements,
                                    .data = (const unsigned char *)numbers};
    memcpy(tensor->shape, shape, rank * sizeof *shape);
    call->c->to->n++;
    if (tensor->name && tensor->type_name)
        return numbers;
    onnx_no_memory(call);
    return NULL;
}

float *onnx_weights(const struct onnx_call *call, const char *name, size_t rank, const size_t *shape)
{
    return onnx_weights_of(call, call->c->out->model.n_layers - 1, name, rank, shape);
}

/* ---- results ---- */

bool onnx_give(struct onnx_call *call, const struct onnx_tensor *tensor)
{
    call->out[0] = (struct onnx_value){.kind = ONNX_TENSOR, .tensor = *tensor};
    return tensor->value != GRAPH_NONE;
}

bool onnx_give_constant(struct onnx_call *call, const struct onnx_constant *constant)
{
    call->out[0] = (struct onnx_value){.kind = ONNX_CONSTANT, .constant = *constant};
    return true;
}
