/* BatchNormalization, LayerNormalization and RMSNormalization. */
#ifndef RNN_LAYERS_NORMALIZATION_H
#define RNN_LAYERS_NORMALIZATION_H

#include "axes.h"

/* The own struct of these classes. */
struct normalization {
    struct axes axes;
    bool center, scale;
    double epsilon;
    struct initializer gamma_initializer, beta_initializer, mean_initializer, variance_initializer;
    float *weights; /* built: gamma then beta, or of a BatchNormalization scale then shift; [2, n] */
    size_t n;       /* numbers along the axes */
};

extern const struct layer_class layer_batch_norm, layer_layer_norm, layer_rms_norm;

#endif
