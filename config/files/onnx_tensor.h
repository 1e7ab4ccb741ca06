/* The tensors of an ONNX file. */
#ifndef CONFIG_FILES_ONNX_TENSOR_H
#define CONFIG_FILES_ONNX_TENSOR_H

#include "onnx_reading.h"

/* What stands for a TensorProto in the graph: its name in the handover, which gets the tensor; or its place beside the
   model; or null for a type that is not read. `named`: by its own name; two graphs may have tensors of one name. NULL with
   the error set. */
json_t *onnx_tensor_take(struct onnx_reading *r, struct protobuf message, bool named);

/* Add one initializer of a graph at this depth to `tensors`. A name that another graph has, too, is replaced. False with
   the error set. */
bool onnx_tensor_initializer(struct onnx_reading *r, struct protobuf message, json_t *tensors, unsigned depth);

/* The data of a tensor, for the handover. */
bool onnx_tensor_data(const struct handover_tensor *tensor, void *out);

#endif
