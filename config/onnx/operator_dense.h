/* What joins the Dense layer that a product became. */
#ifndef CONFIG_ONNX_OPERATOR_DENSE_H
#define CONFIG_ONNX_OPERATOR_DENSE_H

#include "call.h"

/* A constant that is added becomes the bias of the Dense layer that gave the tensor, an activation its own. False where there
   is no such layer, or other nodes take what it gives. */
bool onnx_join_bias(const struct onnx_call *call, const struct onnx_tensor *tensor, const struct onnx_constant *bias);
bool onnx_join_activation(const struct onnx_call *call, const struct onnx_tensor *tensor,
                          const struct activation *activation);

#endif
