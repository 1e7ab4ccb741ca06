/* Names of a checkpoint's tensors: from paths of TensorFlow's objects to cellserve's names. */
#ifndef CONFIG_OBJECT_NAMES_H
#define CONFIG_OBJECT_NAMES_H

#include "config/files/tensors.h"

/**
 * Rename every tensor of a set whose naming is "object" by the layers of its architecture:
 * "layer-1/forward_layer/cell/cells/0/kernel" becomes "layers.1.forward.cells.0.kernel". Input layers, which a Functional
 * model counts among its objects, are not counted in the new names.
 *
 * model  the architecture, as Keras serializes it.
 *
 * Returns false if out of memory. Names that are not such paths stay unchanged.
 */
bool object_names_replace(struct tensor_set *set, const json_t *model);

#endif
