/* Reductions of axes to one number, and functions along an axis: sums, means, softmax. */
#ifndef RNN_LAYERS_REDUCE_H
#define RNN_LAYERS_REDUCE_H

#include "layer.h"

enum reduce_operation {
    REDUCE_SUM,
    REDUCE_MEAN,
    REDUCE_MAX,
    REDUCE_MIN,
    REDUCE_PRODUCT,
    REDUCE_ANY, /* 1 if any number is not 0 */
    REDUCE_ALL,
    REDUCE_VARIANCE,
    REDUCE_DEVIATION,
    REDUCE_LOG_SUM_EXP,
};

/* The own struct of layer_reduce. Axes are numbered as in Keras: the batch is 0, negative numbers count from the
   last. */
struct reduce {
    enum reduce_operation operation;
    size_t n;
    long axes[LAYER_MAX_AXES];
    bool keepdims;
};

enum along_operation { ALONG_SOFTMAX, ALONG_LOG_SOFTMAX, ALONG_L2_NORMALIZE, ALONG_SUM_SO_FAR };

/* The own struct of layer_along: a function of each line of numbers along an axis. */
struct along {
    enum along_operation operation;
    long axis;
    double epsilon; /* of L2_NORMALIZE: the lower bound of the sum of squares */
};

extern const struct layer_class layer_reduce, layer_along;

#endif
