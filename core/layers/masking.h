/* Masking. */
#ifndef RNN_LAYERS_MASKING_H
#define RNN_LAYERS_MASKING_H

#include "layer.h"

/* The own struct of layer_masking. */
struct masking {
    float mask_value;
};

extern const struct layer_class layer_masking;

#endif
