/* Elements of one axis in another order, with more before and behind them: ONNX's Gather of a list, and its Pad. */
#ifndef RNN_LAYERS_GATHER_H
#define RNN_LAYERS_GATHER_H

#include "layer.h"

/* LIST: the elements that a list names. The others add elements before and behind: a number, the outermost element, or the
   elements mirrored at the outermost one. */
enum gather_how { GATHER_LIST, GATHER_CONSTANT, GATHER_EDGE, GATHER_REFLECT };

/* The own struct of layer_gather. */
struct gather {
    enum gather_how how;
    size_t axis; /* after the batch, the first is 0 */
    size_t n;
    long *list; /* [n], below 0 from the end */
    size_t before, after;
    float value; /* of GATHER_CONSTANT */
};

extern const struct layer_class layer_gather;

#endif
