/* Attention, AdditiveAttention and MultiHeadAttention: sums of values, weighted by how well a query fits their keys. */
#ifndef RNN_LAYERS_ATTENTION_H
#define RNN_LAYERS_ATTENTION_H

#include "layer.h"

enum attention_score { SCORE_DOT, SCORE_CONCAT, SCORE_ADDITIVE };

/* The own struct of layer_attention. Inputs: query [timesteps, dim], value, and key (else the value). */
struct attention {
    enum attention_score score;
    bool use_scale, causal;
    struct initializer scale_initializer;
    /* built */
    float *scale;       /* [1], additive [dim]; NULL: ones */
    float concat_score; /* of SCORE_CONCAT */
};

enum { PROJECT_QUERY, PROJECT_KEY, PROJECT_VALUE, PROJECT_OUTPUT, PROJECTIONS };

/* The own struct of layer_multi_head_attention. */
struct multi_head_attention {
    size_t heads, key_dim, value_dim;
    size_t output_size; /* 0: that of the query */
    bool use_bias, causal;
    struct initializer kernel_initializer, bias_initializer;
    /* built */
    struct layer_shape in[3]; /* of query, value, key */
    struct packed kernels[PROJECTIONS];
    float *starts[PROJECTIONS]; /* biases */
};

extern const struct layer_class layer_attention, layer_multi_head_attention;

#endif
