/* The ids of an Embedding. */
#ifndef CONFIG_ONNX_IDS_H
#define CONFIG_ONNX_IDS_H

#include "call.h"

/* If a graph adds the size of a table to negative ids before a Gather, let the Gather take the ids themselves. Returns false
   if memory is short. */
bool onnx_plain_ids(const struct onnx_call *call, const json_t *graph);

#endif
