/* What operators of other files share with Pad. */
#ifndef CONFIG_ONNX_OPERATOR_PAD_H
#define CONFIG_ONNX_OPERATOR_PAD_H

#include "call.h"

/* Elements of an axis that a list names, in its order: the result of the call. False with a problem. */
bool onnx_gather_list(struct onnx_call *call, const struct onnx_tensor *in, size_t axis,
                      const struct onnx_constant *list);

#endif
