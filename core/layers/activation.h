/* Activation, ReLU, Softmax and the like. */
#ifndef RNN_LAYERS_ACTIVATION_H
#define RNN_LAYERS_ACTIVATION_H

#include "axes.h"

/* The own struct of layer_activation: the function. */
extern const struct layer_class layer_activation; /* struct activation */

/* The own struct of layer_softmax, over any axes. */
struct softmax {
    struct axes axes;
    struct activation activation;
};

extern const struct layer_class layer_softmax;

#endif
