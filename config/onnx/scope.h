/* The names of tensors and their values, in a graph and its outer graphs. */
#ifndef CONFIG_ONNX_SCOPE_H
#define CONFIG_ONNX_SCOPE_H

#include "value.h"

#include <jansson.h>

struct onnx_named;

/* The names of one graph. */
struct onnx_scope {
    struct onnx_scope *outer; /* the outer graph; NULL for the model's own graph */
    const json_t *graph;
    struct onnx_named *named;
    size_t n, room;
    size_t *places; /* a hash table of 2 * room entries; 0 is empty, otherwise 1 + the index of a name */
};

/* The value of a name in this graph only, or NULL. */
struct onnx_value *onnx_scope_find(const struct onnx_scope *scope, const char *name);

/* Set the value of a name. The name must outlive the scope. Returns false if out of memory. */
bool onnx_scope_set(struct onnx_scope *scope, const char *name, const struct onnx_value *value);

void onnx_scope_close(struct onnx_scope *scope);

#endif
