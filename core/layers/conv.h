/* Conv1D, Conv2D, and their depthwise and separable forms. */
#ifndef RNN_LAYERS_CONV_H
#define RNN_LAYERS_CONV_H

#include "window.h"

enum conv_kind { CONV_FULL, CONV_DEPTHWISE, CONV_SEPARABLE };

/* The own struct of layer_conv. */
struct conv {
    struct window window;
    enum conv_kind kind;
    size_t filters, groups, depth_multiplier; /* a depthwise convolution ignores `filters` */
    bool use_bias;
    struct activation activation;
    struct initializer kernel_initializer, pointwise_initializer, bias_initializer;
    /* built */
    size_t channels;      /* input channels */
    struct packed *parts; /* the matrices of the products: [groups] of CONV_FULL, [1] of CONV_SEPARABLE */
    float **starts;       /* [groups]: the biases of `parts` */
    float *
        depth; /* of CONV_DEPTHWISE and CONV_SEPARABLE: [window][channels * depth_multiplier], then the bias of CONV_DEPTHWISE */
    struct rnn_cell_spec *history; /* of a causal convolution with strides of 1: its last inputs, which are a state */
};

extern const struct layer_class layer_conv;

#endif
