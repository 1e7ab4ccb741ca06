/* Products of the matrices of two tensors. */
#ifndef RNN_LAYERS_MATMUL_H
#define RNN_LAYERS_MATMUL_H

#include "layer.h"

/* The own struct of layer_matmul: whether each input is transposed first (its last two axes are exchanged). */
struct matmul {
    bool transposed[2];
};

extern const struct layer_class layer_matmul;

#endif
