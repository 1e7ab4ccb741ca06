/* Products of the matrices of two tensors. */
#ifndef RNN_LAYERS_MATMUL_H
#define RNN_LAYERS_MATMUL_H

#include "layer.h"

/* The own struct of layer_matmul: whether the last two axes of each input are exchanged first. */
struct matmul {
    bool transposed[2];
};

extern const struct layer_class layer_matmul;

#endif
