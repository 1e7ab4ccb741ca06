/* Nodes that become a part of a previous Dense layer. */
#ifndef CONFIG_ONNX_OPERATOR_DENSE_H
#define CONFIG_ONNX_OPERATOR_DENSE_H

#include "call.h"

/* An added constant becomes the bias of the Dense layer before it, an activation becomes its activation. Return false
   if there is no such layer, or if other nodes take its output. */
bool onnx_join_bias(const struct onnx_call *call, const struct onnx_tensor *tensor, const struct onnx_constant *bias);
bool onnx_join_activation(const struct onnx_call *call, const struct onnx_tensor *tensor,
                          const struct activation *activation);

#endif
