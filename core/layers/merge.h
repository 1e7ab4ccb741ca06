/* Layers of several inputs: Concatenate, Add, Subtract, Multiply, Average, Maximum, Minimum, Dot. */
#ifndef RNN_LAYERS_MERGE_H
#define RNN_LAYERS_MERGE_H

#include "layer.h"

enum { MERGE_MAX_INPUTS = 64 };

/* The own struct of layer_concatenate: along which axis, the batch being 0; below 0 from the last. any: a timestep counts
   where it counts in any input, as in Keras 3; else where it counts in all. */
struct concatenate {
    long axis;
    bool any;
};

enum merge_operation {
    MERGE_ADD,
    MERGE_SUBTRACT,
    MERGE_MULTIPLY,
    MERGE_AVERAGE,
    MERGE_MAXIMUM,
    MERGE_MINIMUM,
    MERGE_DIVIDE
};

/* The own struct of layer_merge. Sizes of 1 stand for any size, as in NumPy. any: as in concatenate; then an input
   without a mask takes the mask from all. */
struct merge {
    enum merge_operation operation;
    bool any;
};

/* The own struct of layer_dot: the axes that are summed over. */
struct dot {
    long axes[2];
    bool normalize;
};

extern const struct layer_class layer_concatenate, layer_merge, layer_dot;

#endif
