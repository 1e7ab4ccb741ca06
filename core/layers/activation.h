/* Activation, ReLU, Softmax and similar layers. */
#ifndef RNN_LAYERS_ACTIVATION_H
#define RNN_LAYERS_ACTIVATION_H

#include "axes.h"

/* The own struct of layer_activation: the function. */
extern const struct layer_class layer_activation; /* struct activation */

/* The own struct of layer_softmax, over any axes. A second input is a mask, which can be broadcast to the first. If the
   mask is 0, Keras 2 adds -1e9 to the input. Keras 3 replaces the input by -1e9, and the result by 0. */
struct softmax {
    struct axes axes;
    struct activation activation;
    bool masked_are_zero; /* Keras 3 */
};

extern const struct layer_class layer_softmax;

#endif
