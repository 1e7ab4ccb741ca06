/* Masking. */
#ifndef RNN_LAYERS_MASKING_H
#define RNN_LAYERS_MASKING_H

#include "layer.h"

/* The own struct of layer_masking. */
struct masking {
    float mask_value;
};

/* layer_set_mask takes a sequence and a sequence of numbers; timesteps whose number is 0 do not count. It has no own
   struct. */
extern const struct layer_class layer_masking, layer_set_mask;

/* A sequence whose first timesteps alone count, as many as the second input says. */
extern const struct layer_class layer_set_length;

#endif
