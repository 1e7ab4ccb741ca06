/* One serialized layer becomes core's layer, configured but not built. */
#ifndef CONFIG_KERAS_LAYER_H
#define CONFIG_KERAS_LAYER_H

#include "cell.h"

/**
 * Read a layer of any kind that is served, or a bare cell, which counts as an RNN layer over it.
 *
 * path  JSON pointer of `json` in the file. Every problem is added; false when the reader has met one, here or before
 *       (the layer may be partly filled then; layer_close frees it).
 */
bool keras_layer_read(struct keras_reader *reader, const json_t *json, const char *path, struct layer *out);

/* Whether a class is a layer that is served. */
bool keras_is_layer(const char *class_name);

/* A use of the layer says use_causal_mask; false where its class knows no such thing. */
bool keras_layer_set_causal(struct layer *layer);

#endif
