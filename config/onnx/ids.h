/* Ids that an Embedding takes. */
#ifndef CONFIG_ONNX_IDS_H
#define CONFIG_ONNX_IDS_H

#include "call.h"

/* Let each Gather of a table take the ids themselves where a graph first adds the size of the table to those below 0.
   False when memory is short. */
bool onnx_plain_ids(const struct onnx_call *call, const json_t *graph);

#endif
