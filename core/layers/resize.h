/* Layers that move whole timesteps, or rows and columns of images: ZeroPadding, Cropping, UpSampling, Permute. */
#ifndef RNN_LAYERS_RESIZE_H
#define RNN_LAYERS_RESIZE_H

#include "layer.h"

/* The own struct of layer_pad (adds zeros), layer_crop and layer_repeat_steps. With rank 1, only index [1] of the
   arrays is used, as in struct window. */
struct resize {
    size_t rank; /* 1 or 2 */
    size_t before[2], after[2];
    size_t times[2]; /* of layer_repeat_steps: the number of copies of each element */
};

/* The own struct of layer_permute: axis i of the output is axis order[i] of the input; axes are counted after the
   batch. */
struct permute {
    size_t n, order[LAYER_MAX_AXES];
};

extern const struct layer_class layer_pad, layer_crop, layer_repeat_steps, layer_permute;

#endif
