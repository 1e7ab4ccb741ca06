/* GlobalAveragePooling1D, GlobalMaxPooling1D, and the last timestep. */
#ifndef RNN_LAYERS_POOLING_H
#define RNN_LAYERS_POOLING_H

#include "layer.h"

/* The own struct of all three classes. */
struct pooling {
    bool keepdims;
    bool planes; /* over both axes of an image */
};

extern const struct layer_class layer_average_pooling, layer_max_pooling, layer_last_timestep;

#endif
