/* The tensors of an ONNX model that are in other files (external data). */
#ifndef CONFIG_ONNX_ONNX_EXTERNAL_H
#define CONFIG_ONNX_ONNX_EXTERNAL_H

#include "config/files/tensors.h"

/**
 * Read every tensor with external data. The set gets the tensor, and its name replaces the place of the data in the graph.
 *
 * json  {"onnx": …}, as for onnx_model_read.
 * file  the path of the model; the data must be in the folder of the model or below.
 *
 * Returns false with a problem added.
 */
bool onnx_external_read(json_t *json, struct tensor_set *set, const char *file, struct problems *problems);

#endif
