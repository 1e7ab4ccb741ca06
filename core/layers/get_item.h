/* x[…]: parts of a tensor, in the order of the tensor; axes of size 1 that come and go. */
#ifndef RNN_LAYERS_GET_ITEM_H
#define RNN_LAYERS_GET_ITEM_H

#include "layer.h"

/* PICK_TILE repeats an axis as a whole, PICK_REPEAT each of its elements. */
enum pick_how { PICK_SLICE, PICK_INDEX, PICK_NEW_AXIS, PICK_TILE, PICK_REPEAT };

/* What is taken of one axis. */
struct pick {
    enum pick_how how;
    bool has_start, has_stop;
    long start, stop, step; /* as in Python; of PICK_INDEX start alone */
    size_t times;
};

enum { GET_ITEM_MAX_PICKS = 2 * LAYER_MAX_AXES + 1 };

/* The own struct of layer_get_item: n_first picks for the first axes and the rest for the last axes; axes between them
   stay. batch: the first pick is the batch's, which takes all of the batch. Without it an ellipsis stands first; where
   that stands for no axis, the pick after it is the batch's. */
struct get_item {
    size_t n, n_first;
    struct pick picks[GET_ITEM_MAX_PICKS];
    bool batch;
};

/* The own struct of layer_expand (an axis of size 1 comes) and layer_squeeze (axes of size 1 go; none are named: all).
   Axes are Keras's: the batch is 0, below 0 from the last. */
struct size_one {
    size_t n;
    long axes[LAYER_MAX_AXES];
};

extern const struct layer_class layer_get_item, layer_expand, layer_squeeze;

#endif
