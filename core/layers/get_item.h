/* x[…] selects parts of a tensor, in the order of the tensor. Also adds and removes axes of size 1. */
#ifndef RNN_LAYERS_GET_ITEM_H
#define RNN_LAYERS_GET_ITEM_H

#include "layer.h"

/* PICK_TILE repeats an axis as a whole, PICK_REPEAT each of its elements. */
enum pick_how { PICK_SLICE, PICK_INDEX, PICK_NEW_AXIS, PICK_TILE, PICK_REPEAT };

/* The part of one axis. */
struct pick {
    enum pick_how how;
    bool has_start, has_stop;
    long start, stop, step; /* as in Python; PICK_INDEX uses start only */
    size_t times;
};

enum { GET_ITEM_MAX_PICKS = 2 * LAYER_MAX_AXES + 1 };

/* The own struct of layer_get_item. The first n_first picks are for the first axes, the other picks for the last axes;
   axes between them are taken whole. batch: the first pick is for the batch and takes all of it. Otherwise x[…] begins
   with an ellipsis; if the ellipsis stands for no axis, the first pick after it is for the batch. */
struct get_item {
    size_t n, n_first;
    struct pick picks[GET_ITEM_MAX_PICKS];
    bool batch;
};

/* The own struct of layer_expand, which adds an axis of size 1, and of layer_squeeze, which removes axes of size 1 (n =
   0: all of them). Axes are numbered as in Keras: the batch is 0, negative numbers count from the last. */
struct size_one {
    size_t n;
    long axes[LAYER_MAX_AXES];
};

extern const struct layer_class layer_get_item, layer_expand, layer_squeeze;

#endif
