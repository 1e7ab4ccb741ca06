/* Layers of several inputs: Concatenate, Add, Subtract, Multiply, Average, Maximum, Minimum, Dot. */
#ifndef RNN_LAYERS_MERGE_H
#define RNN_LAYERS_MERGE_H

#include "layer.h"

enum { MERGE_MAX_INPUTS = 64 };

/* The own struct of layer_concatenate: the axis (the batch is 0; negative numbers count from the last). any: a timestep
   counts if it counts in any input, as in Keras 3; otherwise it must count in all inputs. */
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

/* The own struct of layer_merge. An axis of size 1 is broadcast, as in NumPy. any: as in concatenate; an input without
   a mask then removes the mask. */
struct merge {
    enum merge_operation operation;
    bool any;
};

/* The own struct of layer_dot: the axes over which the products are summed. */
struct dot {
    long axes[2];
    bool normalize;
};

extern const struct layer_class layer_concatenate, layer_merge, layer_dot;

#endif
