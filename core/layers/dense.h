/* Dense, and TimeDistributed(Dense). */
#ifndef RNN_LAYERS_DENSE_H
#define RNN_LAYERS_DENSE_H

#include "layer.h"

/* The own struct of layer_dense. */
struct dense {
    size_t units;
    bool use_bias;
    struct activation activation;
    struct initializer kernel_initializer, bias_initializer;
    /* built */
    struct packed kernel;
    float *start; /* the bias, one row of pre-activations */
};

extern const struct layer_class layer_dense;

#endif
