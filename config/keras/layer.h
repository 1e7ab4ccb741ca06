/* Converts one serialized layer to core's layer, configured but not built. */
#ifndef CONFIG_KERAS_LAYER_H
#define CONFIG_KERAS_LAYER_H

#include "cell.h"

/**
 * Read a layer of any supported kind, or a cell alone, which counts as an RNN layer over this cell.
 *
 * path  JSON pointer of `json` in the file. Every problem is added. Returns false if the reader has met a problem, here
 *       or before. Then the layer may be partly filled; layer_close frees it.
 */
bool keras_layer_read(struct keras_reader *reader, const json_t *json, const char *path, struct layer *out);

/* Whether a class is a supported layer. */
bool keras_is_layer(const char *class_name);

/* Set use_causal_mask, which a use of the layer has. Returns false if the class does not have this option. */
bool keras_layer_set_causal(struct layer *layer);

#endif
