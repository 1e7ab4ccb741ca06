/* The layer or model inside a TimeDistributed. */
#include "functional.h"
#include "input_shape.h"
#include "scope.h"

#include <stdio.h>

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
    bool good = scope_declare(&scope, &above) && scope_wire(&scope, &input, 1, outputs, &n);
    if (good && n != 1)
        keras_error(reader, path, "a model inside a TimeDistributed must have exactly one output");
    good = good && n == 1 && graph_output(&out->model, "outputs", outputs[0]);
    scope_close(&scope);
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
