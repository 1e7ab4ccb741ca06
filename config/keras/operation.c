/* Converts operations to layers that compute the same. It has the table of supported operations. */
#include "operation.h"

#include "core/layers/arithmetic.h"
#include "operation_call.h"

#include <stdlib.h>
#include <string.h>

/* Class names that Keras 3 uses for both a layer and an operation. */
static bool may_be_either(const char *class_name)
{
    static const char *const names[] = {"Add",     "Subtract",    "Multiply", "Maximum",
                                        "Minimum", "Concatenate", "Softmax",  "Identity"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(class_name, names[i]))
            return true;
    return false;
}

/* HDF5 files of Keras 3 do not have the module. There, the config of a layer has trainable, and the config of an
   operation has only its own arguments. */
static bool is_bare_operation(const json_t *json, const char *class_name)
{
    const json_t *config = json_object_get(json, "config"), *inbound = json_object_get(json, "inbound_nodes");
    if (class_name && keras_is_layer(class_name) && !may_be_either(class_name))
        return false;
    return !json_object_get(json, "module") && json_is_object(config) && !json_object_get(config, "trainable") &&
           json_object_get(json_array_get(inbound, 0), "args");
}

bool keras_is_operation(const json_t *json)
{
    const char *module = json_string_value(json_object_get(json, "module")), *class_name = keras_class_name(json);
    return (module && strstr(module, ".ops.")) || is_bare_operation(json, class_name) ||
           (class_name && (!strcmp(class_name, "TFOpLambda") || !strcmp(class_name, "SlicingOpLambda")));
}

/* The last part of the name of a TensorFlow function, if functions of its module are supported. */
static const char *plain_name(const char *function)
{
    static const char *const modules[] = {
        "",           "math.",           "nn.",           "linalg.",       "__operators__.",
        "compat.v1.", "compat.v1.math.", "compat.v1.nn.", "keras.backend."};
    const char *dot = strrchr(function, '.'), *name = dot ? dot + 1 : function;
    for (size_t i = 0; i < sizeof modules / sizeof *modules; i++)
        if (strlen(modules[i]) == (size_t)(name - function) && !strncmp(function, modules[i], strlen(modules[i])))
            return name;
    return "";
}

static const struct operation_row *find_row(const struct operation_row *rows, const char *name)
{
    for (; rows->name; rows++)
        if (!strcmp(rows->name, name))
            return rows;
    return NULL;
}

bool keras_operation_read(struct keras_reader *reader, const json_t *json, const json_t *use, const char *path,
                          struct keras_model *out, size_t (*value)(void *context, const struct keras_tensor *tensor),
                          void *context, size_t *outputs, size_t *n)
{
    const json_t *config = json_object_get(json, "config");
    const char *function = json_string_value(json_object_get(config, "function"));
    const char *name = json_string_value(json_object_get(config, "name"));
    char snake[64];
    struct operation_call call = {
        .reader = reader, .path = path, .out = out, .value = value, .context = context, .outputs = outputs};
    keras_snake_case(keras_class_name(json), snake, sizeof snake);
    call.function = function ? function : keras_class_name(json);
    call.name = name ? name : call.function;
    const char *plain = function ? plain_name(function) : snake;
    call.row = find_row(keras_math_operations, plain);
    call.row = call.row ? call.row : find_row(keras_shape_operations, plain);
    if (!call.row)
        return operation_refuse(&call, "is not supported; do its computation in the data, or with a Keras layer");
    bool good = operation_call_read(&call, json, use) && call.row->read(&call);
    *n = call.n_outputs;
    if (!good && !*reader->failed)
        return operation_refuse(&call, "is called with arguments that are not supported");
    return good;
}

void keras_operation_ids(struct graph *graph)
{
    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        size_t from = graph->values[node->inputs[0]].node;
        if (!layer_takes_ids(&graph->layers[node->layer]) || from == GRAPH_NONE)
            continue;
        struct layer *before = &graph->layers[graph->nodes[from].layer];
        if (before->class != &layer_function || ((struct function *)before->own)->kind != FUNCTION_TRUNCATE)
            continue;
        free(before->own);
        before->own = NULL;
        before->class = &layer_identity;
    }
}
