/* GroupNormalization. */
#ifndef RNN_LAYERS_GROUP_NORMALIZATION_H
#define RNN_LAYERS_GROUP_NORMALIZATION_H

#include "normalization.h"

/* The own struct of layer_group_norm. */
struct group_normalization {
    struct normalization common; /* with one axis, that of the channels */
    size_t groups;               /* 0: as many as channels */
};

extern const struct layer_class layer_group_norm;

#endif
