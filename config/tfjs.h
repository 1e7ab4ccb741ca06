/* Models of TensorFlow.js: a model.json with the topology and a manifest of weights, and shards with the numbers beside
   it. */
#ifndef CONFIG_TFJS_H
#define CONFIG_TFJS_H

#include "config/files/tensors.h"

/* Whether a JSON file is such a model.json, of a layers model or of a graph model. */
bool tfjs_is(const json_t *json);

/**
 * Read the architecture of a model.json, as Keras serializes it, and the weights, which are assigned by position.
 *
 * path  of the model.json; shards are files in its folder.
 *
 * Quantized weights (uint8, uint16, float16) become float32, as TensorFlow.js does. Returns NULL with a problem added,
 * and the set is closed. Otherwise call tensor_set_close and json_decref. Source: tfjs-core's io/io_utils.ts,
 * decodeWeights.
 */
json_t *tfjs_read(const json_t *json, const char *path, struct tensor_set *set, struct problems *problems);

#endif
