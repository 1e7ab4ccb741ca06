/* Attention, AdditiveAttention and MultiHeadAttention: sums of values, weighted by how well a query fits their keys. */
#ifndef RNN_LAYERS_ATTENTION_H
#define RNN_LAYERS_ATTENTION_H

#include "axes.h"

enum attention_score { SCORE_DOT, SCORE_CONCAT, SCORE_ADDITIVE };

/* The own struct of layer_attention. Inputs: query [timesteps, dim], value, and key (else the value). The second tensor
   that it gives are the weights [query's timesteps, value's timesteps]. */
struct attention {
    enum attention_score score;
    bool use_scale, causal;
    struct initializer scale_initializer;
    /* built */
    float *scale;       /* [1], additive [dim]; NULL: ones */
    float concat_score; /* of SCORE_CONCAT */
};

enum { PROJECT_QUERY, PROJECT_KEY, PROJECT_VALUE, PROJECT_OUTPUT, PROJECTIONS };

/* The own struct of layer_multi_head_attention. Inputs: query, value, key (else the value), and behind a key an attention
   mask: numbers that can be broadcast to the weights, 0 for those that do not count. The second tensor that it gives are
   the weights [free axes, heads, query's positions, value's positions]. */
struct multi_head_attention {
    struct axes
        axes;      /* over which it attends; none: all but the features. The others are free: each is a row by itself */
    size_t window; /* positions that are so far apart or farther do not see each other; 0: all do */
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
