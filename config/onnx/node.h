/* A node of a graph as the reader of ONNX files gives it (config/files/onnx_file.h). */
#ifndef CONFIG_ONNX_NODE_H
#define CONFIG_ONNX_NODE_H

#include <jansson.h>
#include <stdbool.h>
#include <string.h>

/* The name of operand i; "" where it is left out. */
static inline const char *node_operand(const json_t *node, size_t i)
{
    const char *name = json_string_value(json_array_get(json_object_get(node, "in"), i));
    return name ? name : "";
}

static inline bool node_is(const json_t *node, const char *op)
{
    const char *own = json_string_value(json_object_get(node, "op"));
    return own && !strcmp(own, op);
}

#endif
