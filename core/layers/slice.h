/* Selects some features of every timestep, for example one state out of all states of a recurrent layer. */
#ifndef RNN_LAYERS_SLICE_H
#define RNN_LAYERS_SLICE_H

#include "layer.h"

/* The own struct of layer_slice: n features of the last axis, from feature `first` on. */
struct slice {
    size_t first, n;
};

extern const struct layer_class layer_slice;

#endif
