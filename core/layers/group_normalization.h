/* GroupNormalization. */
#ifndef RNN_LAYERS_GROUP_NORMALIZATION_H
#define RNN_LAYERS_GROUP_NORMALIZATION_H

#include "normalization.h"

/* The own struct of layer_group_norm. */
struct group_normalization {
    struct normalization common; /* one axis, the axis of the channels */
    size_t groups;               /* 0: one group for each channel */
};

extern const struct layer_class layer_group_norm;

#endif
