/* Operations become the layers that do the same. */
#include "operation.h"

#include <string.h>

bool keras_is_operation(const json_t *json)
{
    const char *module = json_string_value(json_object_get(json, "module")), *class_name = keras_class_name(json);
    return (module && strstr(module, ".ops.")) ||
           (class_name && (!strcmp(class_name, "TFOpLambda") || !strcmp(class_name, "SlicingOpLambda")));
}

bool keras_operation_read(struct keras_reader *reader, const json_t *json, const json_t *use, const char *path,
                          struct keras_model *out, size_t (*value)(void *context, const struct keras_tensor *tensor),
                          void *context, size_t *outputs, size_t *n)
{
    const char *function = json_string_value(json_object_get(json_object_get(json, "config"), "function"));
    (void)use, (void)out, (void)value, (void)context, (void)outputs, (void)n;
    keras_error(reader, path, "the operation \"%.80s\" is not served", function ? function : keras_class_name(json));
    return false;
}
