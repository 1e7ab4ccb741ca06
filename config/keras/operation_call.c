/* Operands and arguments of operations, in the spellings of Keras 2 (the first operand is the reference, all others are
   its keywords) and Keras 3 (args, kwargs, and what the constructor took in config). */
#include "operation_call.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CONSTANT = 1 << 20 };

bool operation_refuse(const struct operation_call *call, const char *format, ...)
{
    char text[160];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    keras_error(call->reader, call->path, "the operation \"%.60s\" (%.60s) %s", call->name, call->function, text);
    return false;
}

/* ---- arguments ---- */

const json_t *operation_option(const struct operation_call *call, const char *name)
{
    const json_t *value = json_object_get(call->keywords, name);
    value = value ? value : json_object_get(call->config, name);
    return value && !json_is_null(value) ? value : NULL;
}

const json_t *operation_argument(const struct operation_call *call, const char *const *names)
{
    const json_t *value = NULL;
    for (size_t i = 0; names[i] && !value; i++)
        value = operation_option(call, names[i]);
    return value;
}

static bool read_whole(const json_t *value, long *out)
{
    double number = json_number_value(value);
    if (!json_is_number(value) || number < -1e9 || number > 1e9 || number != (double)(long)number)
        return false;
    *out = (long)number;
    return true;
}

bool operation_whole(const struct operation_call *call, const char *name, long *out)
{
    const json_t *value = operation_option(call, name);
    return !value || read_whole(value, out) ||
           operation_refuse(call, "is called with %s, which must be a whole number", name);
}

bool operation_list(const struct operation_call *call, const char *name, const json_t *value, size_t most, long *out,
                    size_t *n)
{
    *n = json_is_array(value) ? json_array_size(value) : 1;
    bool good = *n <= most;
    for (size_t i = 0; good && i < *n; i++)
        good = read_whole(json_is_array(value) ? json_array_get(value, i) : value, &out[i]);
    return good || operation_refuse(call, "is called with %s, which must be a list of whole numbers", name);
}

bool operation_flag(const struct operation_call *call, const char *name)
{
    return json_is_true(operation_option(call, name));
}

/* ---- operands ---- */

static bool add_operand(struct operation_call *call, const json_t *operand)
{
    if (call->n_operands == OPERATION_MAX_OPERANDS)
        return operation_refuse(call, "takes too many tensors");
    call->operands[call->n_operands++] = operand;
    return true;
}

/* A reference of Keras 2, or a constant written as one: ["_CONSTANT_VALUE", -1, number, {…}]. */
static bool add_reference(struct operation_call *call, const json_t *reference)
{
    const char *name = json_string_value(json_array_get(reference, 0));
    if (!call->keywords)
        call->keywords = json_array_get(reference, 3);
    return add_operand(call, name && !strcmp(name, "_CONSTANT_VALUE") ? json_array_get(reference, 2) : reference);
}

static bool add_all(struct operation_call *call, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        if (!add_operand(call, json_array_get(list, i)))
            return false;
    return true;
}

/* Operands with keywords. They follow the operands without keywords. */
static bool add_keyword_operands(struct operation_call *call)
{
    static const char *const names[] = {"x", "x1", "a", "inputs", "xs", "x2", "y", "b", NULL};
    struct keras_tensor tensor;
    for (size_t i = 0; names[i]; i++) {
        const json_t *value = operation_option(call, names[i]);
        bool list = json_is_array(value) && !keras_tensor_read(value, &tensor) &&
                    keras_tensor_read(json_array_get(value, 0), &tensor);
        if (value && !(list ? add_all(call, value) : add_operand(call, value)))
            return false;
    }
    return true;
}

static bool in_list(const char *key, const char *const *list)
{
    for (size_t i = 0; list[i]; i++)
        if (!strcmp(key, list[i]))
            return true;
    return false;
}

/* Report arguments that were not read, unless they have no effect. */
static bool check_arguments(const struct operation_call *call, const json_t *arguments)
{
    static const char *const known[] = {"name", "trainable", "dtype", "function", "x",  "x1", "a",
                                        "y",    "x2",        "b",     "inputs",   "xs", NULL};
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)arguments, key, value) {
        bool says = !json_is_null(value) && !json_is_false(value);
        if (says && !in_list(key, known) && !in_list(key, call->row->keys))
            return operation_refuse(call, "is called with an argument that is not supported: %.40s", key);
    }
    return true;
}

bool operation_call_read(struct operation_call *call, const json_t *json, const json_t *use)
{
    struct keras_tensor tensor;
    call->config = json_object_get(json, "config");
    if (json_is_object(use)) { /* Keras 3 */
        const json_t *args = json_object_get(use, "args");
        call->keywords = json_object_get(use, "kwargs");
        const json_t *first = json_array_get(args, 0);
        bool list = json_is_array(first) && !keras_tensor_read(first, &tensor) &&
                    keras_tensor_read(json_array_get(first, 0), &tensor);
        if (list ? !add_all(call, first) : json_array_size(args) && !add_operand(call, first))
            return false;
        for (size_t i = 1; i < json_array_size(args); i++)
            if (!add_operand(call, json_array_get(args, i)))
                return false;
    } else {
        bool lone = json_is_string(json_array_get(use, 0));
        for (size_t i = 0; i < (lone ? 1 : json_array_size(use)); i++)
            if (!add_reference(call, lone ? use : json_array_get(use, i)))
                return false;
    }
    if (!add_keyword_operands(call) || !check_arguments(call, call->keywords) || !check_arguments(call, call->config))
        return false;
    return call->n_operands > 0 || operation_refuse(call, "does not take a tensor of a layer");
}

bool operation_is_tensor(const struct operation_call *call, size_t i)
{
    struct keras_tensor tensor;
    return i < call->n_operands && keras_tensor_read(call->operands[i], &tensor);
}

size_t operation_value(const struct operation_call *call, size_t i)
{
    struct keras_tensor tensor;
    if (i < call->n_operands && keras_tensor_read(call->operands[i], &tensor))
        return call->value(call->context, &tensor);
    operation_refuse(call, "takes a constant where only a tensor of a layer is supported");
    return GRAPH_NONE;
}

/* ---- constants ---- */

static bool fill(const json_t *json, size_t rank, const size_t *axes, float **out)
{
    if (!rank) {
        bool good = json_is_number(json) || json_is_boolean(json);
        *(*out)++ = json_is_boolean(json) ? (float)json_is_true(json) : (float)json_number_value(json);
        return good;
    }
    if (!json_is_array(json) || json_array_size(json) != axes[0])
        return false;
    for (size_t i = 0; i < axes[0]; i++)
        if (!fill(json_array_get(json, i), rank - 1, axes + 1, out))
            return false;
    return true;
}

float *operation_constant(const struct operation_call *call, const json_t *json, size_t *rank,
                          size_t axes[LAYER_MAX_AXES + 1])
{
    const json_t *value = json_object_get(json_object_get(json, "config"), "value");
    size_t total = 1;
    json = value ? value : json; /* of a __numpy__ or __tensor__ object */
    *rank = 0;
    for (const json_t *at = json; json_is_array(at) && *rank <= LAYER_MAX_AXES; at = json_array_get(at, 0)) {
        axes[*rank] = json_array_size(at);
        if (!rnn_size_mul(total, axes[(*rank)++], &total))
            break;
    }
    float *numbers = total && total <= MAX_CONSTANT ? malloc(total * sizeof *numbers) : NULL, *end = numbers;
    if (numbers && fill(json, *rank, axes, &end))
        return numbers;
    free(numbers);
    operation_refuse(call, "takes a constant that is neither a number nor a regular list of numbers");
    return NULL;
}

/* ---- layers ---- */

struct layer *operation_layer(const struct operation_call *call, const struct layer_class *class)
{
    struct layer *layer = keras_model_add(call->reader, call->path, call->out, NULL);
    if (!layer)
        return NULL;
    if (layer_open(layer, class, NULL)) {
        keras_error(call->reader, call->path, "out of memory");
        return NULL;
    }
    layer->masks = MASKS_STOP; /* in Keras 2 an operation supports no masks; in Keras 3 its output is a new tensor */
    snprintf(layer->class_name, sizeof layer->class_name, "%s", call->function);
    snprintf(layer->name, sizeof layer->name, "%.60s", call->name);
    return layer;
}

bool operation_node(const struct operation_call *call, const size_t *inputs, size_t n, size_t *output)
{
    struct graph *graph = &call->out->model;
    for (size_t i = 0; i < n; i++)
        if (inputs[i] == GRAPH_NONE)
            return false;
    *output = graph_node(graph, graph->n_layers - 1, inputs, n);
    if (*output == GRAPH_NONE)
        keras_error(call->reader, call->path, "out of memory");
    return *output != GRAPH_NONE;
}

bool operation_give(struct operation_call *call, const size_t *inputs, size_t n)
{
    size_t output;
    if (call->n_outputs == GRAPH_MAX_INPUTS)
        return operation_refuse(call, "has too many outputs");
    if (!operation_node(call, inputs, n, &output))
        return false;
    call->outputs[call->n_outputs++] = output;
    return true;
}
