/* Activation, ReLU, Softmax and the like. */
#ifndef RNN_LAYERS_ACTIVATION_H
#define RNN_LAYERS_ACTIVATION_H

#include "axes.h"

/* The own struct of layer_activation: the function. */
extern const struct layer_class layer_activation; /* struct activation */

/* The own struct of layer_softmax, over any axes. A second input is a mask, which can be broadcast to the first. Keras 2
   adds -1e9 where the mask is 0. Keras 3 puts -1e9 there, and 0 in the result. */
struct softmax {
    struct axes axes;
    struct activation activation;
    bool masked_are_zero; /* Keras 3 */
};

extern const struct layer_class layer_softmax;

#endif
