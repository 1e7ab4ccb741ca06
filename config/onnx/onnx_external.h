/* Tensors of an ONNX model that lie in files beside it. */
#ifndef CONFIG_ONNX_ONNX_EXTERNAL_H
#define CONFIG_ONNX_ONNX_EXTERNAL_H

#include "config/files/tensors.h"

/**
 * Read every tensor that the graph says is outside; the set gets it, and the graph its name in place of where it lies.
 *
 * json  {"onnx": …}, as for onnx_model_read. file: the model's; the others lie in its folder or below.
 *
 * False with a problem added.
 */
bool onnx_external_read(json_t *json, struct tensor_set *set, const char *file, struct problems *problems);

#endif
