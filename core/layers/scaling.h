/* Normalization and Rescaling: a shift and a scale of each number. */
#ifndef RNN_LAYERS_SCALING_H
#define RNN_LAYERS_SCALING_H

#include "axes.h"

/* Numbers from the configuration: one number for all elements, or one for each element along the last of the axes. */
struct scaling_numbers {
    size_t n; /* 0: the configuration has none */
    double *at;
};

/* The own struct of both classes. A Normalization divides by the standard deviation; with `invert` it multiplies by
   it. */
struct scaling {
    struct axes axes;
    bool invert;
    struct scaling_numbers mean, variance; /* of a Rescaling: offset and scale */
    struct initializer mean_initializer, variance_initializer;
    double *weights; /* built: mean then deviation, or offset then scale; [2, n] */
    size_t n;
};

extern const struct layer_class layer_scale, layer_rescale;

#endif
