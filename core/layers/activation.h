/* Activation, ReLU, Softmax and the like. */
#ifndef RNN_LAYERS_ACTIVATION_H
#define RNN_LAYERS_ACTIVATION_H

#include "layer.h"

/* The own struct of layer_activation: the function. */
extern const struct layer_class layer_activation; /* struct activation */

#endif
