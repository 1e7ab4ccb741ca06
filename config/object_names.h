/* Names of a checkpoint's tensors: from the objects of TensorFlow to those of this server. */
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
 * False when out of memory. Names that are no such paths stay.
 */
bool object_names_replace(struct tensor_set *set, const json_t *model);

#endif
