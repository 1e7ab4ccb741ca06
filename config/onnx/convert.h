/* Functions of the conversion of a whole graph, for the files of operators. */
#ifndef CONFIG_ONNX_CONVERT_H
#define CONFIG_ONNX_CONVERT_H

#include "call.h"

struct onnx_scope;

/* Find the value of a name, in this graph or in an outer graph. Returns false with a problem added if the name does not
   exist. */
bool onnx_find_value(struct onnx_call *call, const char *name, struct onnx_value *out);

/* Convert one needed node. Returns false with a problem added. */
bool onnx_convert_node(struct onnx_call *outer, struct onnx_scope *scope, const json_t *node);

/* The row of an operator, or NULL if it is not supported. */
const struct onnx_row *onnx_find_row(const char *op);

#endif
