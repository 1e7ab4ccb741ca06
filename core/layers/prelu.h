/* PReLU. */
#ifndef RNN_LAYERS_PRELU_H
#define RNN_LAYERS_PRELU_H

#include "axes.h"

/* The own struct of layer_prelu. */
struct prelu {
    struct axes shared; /* the axes along which the slopes are equal */
    struct initializer initializer;
    float *slopes; /* built: [n] */
    size_t n;
};

extern const struct layer_class layer_prelu;

#endif
