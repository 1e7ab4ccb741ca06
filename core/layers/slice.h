/* Some features of every timestep: what a recurrent layer gives beside its output, and the like. */
#ifndef RNN_LAYERS_SLICE_H
#define RNN_LAYERS_SLICE_H

#include "layer.h"

/* The own struct of layer_slice: n of the last axis, from the first-th on. */
struct slice {
    size_t first, n;
};

extern const struct layer_class layer_slice;

#endif
