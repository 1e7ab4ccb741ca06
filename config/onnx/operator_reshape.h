/* Reshape, Flatten and Expand, for the table of operators that move numbers. */
#ifndef CONFIG_ONNX_OPERATOR_RESHAPE_H
#define CONFIG_ONNX_OPERATOR_RESHAPE_H

#include "call.h"

bool onnx_read_reshape(struct onnx_call *call);
bool onnx_read_flatten(struct onnx_call *call);
bool onnx_read_expand(struct onnx_call *call);

#endif
