/* UnitNormalization. */
#ifndef RNN_LAYERS_UNIT_NORMALIZATION_H
#define RNN_LAYERS_UNIT_NORMALIZATION_H

#include "axes.h"

/* The own struct of layer_unit_normalization: the axes along which lengths are measured. */
extern const struct layer_class layer_unit_normalization; /* struct axes */

#endif
