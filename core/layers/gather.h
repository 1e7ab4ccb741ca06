/* ONNX's Gather with a constant list of indices, and ONNX's Pad, along one axis. */
#ifndef RNN_LAYERS_GATHER_H
#define RNN_LAYERS_GATHER_H

#include "layer.h"

/* LIST selects the elements of a list. The others add elements before and after: a constant, the outermost element, or
   elements mirrored at the outermost one. */
enum gather_how { GATHER_LIST, GATHER_CONSTANT, GATHER_EDGE, GATHER_REFLECT };

/* The own struct of layer_gather. */
struct gather {
    enum gather_how how;
    size_t axis; /* axis 0 is the first axis after the batch */
    size_t n;
    long *list; /* [n]; negative indices count from the end */
    size_t before, after;
    float value; /* the constant of GATHER_CONSTANT */
};

extern const struct layer_class layer_gather;

#endif
