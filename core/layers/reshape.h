/* Flatten, Reshape and RepeatVector. */
#ifndef RNN_LAYERS_RESHAPE_H
#define RNN_LAYERS_RESHAPE_H

#include "layer.h"

/* The own struct of layer_reshape: the axes after the batch; SIZE_MAX means -1. */
struct reshape {
    size_t rank, target[LAYER_MAX_AXES];
};

/* The own struct of layer_repeat_vector. */
struct repeat_vector {
    size_t n;
};

extern const struct layer_class layer_reshape, layer_repeat_vector;

#endif
