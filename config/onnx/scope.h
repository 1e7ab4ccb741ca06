/* Names of tensors and what they stand for, in a graph and the graphs around it. */
#ifndef CONFIG_ONNX_SCOPE_H
#define CONFIG_ONNX_SCOPE_H

#include "value.h"

#include <jansson.h>

struct onnx_named;

/* The names of one graph. */
struct onnx_scope {
    struct onnx_scope *outer; /* NULL: of the model's own graph */
    const json_t *graph;
    struct onnx_named *named;
    size_t n, room;
    size_t *places; /* a hash table of 2 * room places; 0: empty, else 1 + the index of a name */
};

/* What a name stands for in this graph alone, or NULL. */
struct onnx_value *onnx_scope_find(const struct onnx_scope *scope, const char *name);

/* Give a name a value; the name outlives the scope. False when memory is short. */
bool onnx_scope_set(struct onnx_scope *scope, const char *name, const struct onnx_value *value);

void onnx_scope_close(struct onnx_scope *scope);

#endif
