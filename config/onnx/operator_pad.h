/* Functions that other operators share with Pad. */
#ifndef CONFIG_ONNX_OPERATOR_PAD_H
#define CONFIG_ONNX_OPERATOR_PAD_H

#include "call.h"

/* Select the elements of an axis that a list names, in its order, as the result of the call. Returns false with a
   problem added. */
bool onnx_gather_list(struct onnx_call *call, const struct onnx_tensor *in, size_t axis,
                      const struct onnx_constant *list);

#endif
