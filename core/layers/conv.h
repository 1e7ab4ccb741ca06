/* Conv1D, Conv2D, and their depthwise and separable kinds. */
#ifndef RNN_LAYERS_CONV_H
#define RNN_LAYERS_CONV_H

#include "window.h"

enum conv_kind { CONV_FULL, CONV_DEPTHWISE, CONV_SEPARABLE };

/* The own struct of layer_conv. */
struct conv {
    struct window window;
    enum conv_kind kind;
    size_t filters, groups, depth_multiplier; /* filters: not of a depthwise one */
    bool use_bias;
    struct activation activation;
    struct initializer kernel_initializer, pointwise_initializer, bias_initializer;
    /* built */
    size_t channels;      /* that go in */
    struct packed *parts; /* [groups] of a full one, [1] of a separable one: the product over a window */
    float **starts;       /* [groups], their biases */
    float *depth;         /* of the other kinds [window][channels * depth_multiplier], then a depthwise one's bias */
    struct rnn_cell_spec *history; /* of a causal one with strides of 1: its last inputs, a state */
};

extern const struct layer_class layer_conv;

#endif
