/* What the files of operators take from the conversion of a whole graph. */
#ifndef CONFIG_ONNX_CONVERT_H
#define CONFIG_ONNX_CONVERT_H

#include "call.h"

struct onnx_scope;

/* What a name stands for, in this graph or the graphs around. False with a problem: nothing gives that name. */
bool onnx_find_value(struct onnx_call *call, const char *name, struct onnx_value *out);

/* One node that something needs. False with a problem. */
bool onnx_convert_node(struct onnx_call *outer, struct onnx_scope *scope, const json_t *node);

/* The row of an operator; NULL: it is not served. */
const struct onnx_row *onnx_find_row(const char *op);

#endif
