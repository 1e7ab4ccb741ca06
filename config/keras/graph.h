/* The graph of a Functional model: is it a plain chain of layers, and which? */
#ifndef CONFIG_KERAS_GRAPH_H
#define CONFIG_KERAS_GRAPH_H

#include "json.h"

/**
 * The chain from the model's input to its first output, as indices into config's "layers", the InputLayer first.
 *
 * config  of a Functional model, Keras 2's or Keras 3's inbound_nodes. path is that of its layers, for messages.
 *
 * Masks and initial states may come from further inputs (a warning says how requests give them); Keras 3's explicit
 * nodes for the masks of Masking and Embedding are left out; further outputs may be states. Everything else is an
 * error that names the layer: NULL then. free() the result.
 */
size_t *keras_graph_chain(struct keras_reader *reader, const json_t *config, const char *path, size_t *length);

#endif
