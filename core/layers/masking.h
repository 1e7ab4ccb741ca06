/* Masking. */
#ifndef RNN_LAYERS_MASKING_H
#define RNN_LAYERS_MASKING_H

#include "layer.h"

/* The own struct of layer_masking. */
struct masking {
    float mask_value;
};

/* layer_set_mask reads a sequence and a sequence of numbers. It masks the timesteps whose number is 0. It has no own
   struct. */
extern const struct layer_class layer_masking, layer_set_mask;

/* This layer masks a sequence after its first timesteps. The second input is the number of timesteps that count. */
extern const struct layer_class layer_set_length;

#endif
