/* MaxPooling and AveragePooling over windows of one or two axes. */
#ifndef RNN_LAYERS_POOL_H
#define RNN_LAYERS_POOL_H

#include "window.h"

/* The own struct of layer_pool. */
struct pool_window {
    struct window window;
    bool average;
};

extern const struct layer_class layer_pool;

#endif
