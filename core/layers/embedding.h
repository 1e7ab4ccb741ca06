/* Embedding. */
#ifndef RNN_LAYERS_EMBEDDING_H
#define RNN_LAYERS_EMBEDDING_H

#include "layer.h"

/* The own struct of layer_embedding. */
struct embedding {
    size_t input_dim, output_dim; /* the size of the vocabulary; the numbers for each id */
    bool mask_zero;
    struct initializer initializer;
    float *table; /* built: [input_dim, output_dim] */
};

extern const struct layer_class layer_embedding;

#endif
