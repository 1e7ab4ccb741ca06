/* Attention, AdditiveAttention and MultiHeadAttention: weighted sums of values. The weights are the softmax of a score
   of query and key. */
#ifndef RNN_LAYERS_ATTENTION_H
#define RNN_LAYERS_ATTENTION_H

#include "axes.h"

enum attention_score { SCORE_DOT, SCORE_CONCAT, SCORE_ADDITIVE };

/* The own struct of layer_attention. Inputs: query [timesteps, dim], value, and key (default: the value). The second
   output are the weights [query's timesteps, value's timesteps]. */
struct attention {
    enum attention_score score;
    bool use_scale, causal;
    struct initializer scale_initializer;
    /* built */
    float *scale;       /* [1], or [dim] for SCORE_ADDITIVE; NULL means ones */
    float concat_score; /* of SCORE_CONCAT */
};

enum { PROJECT_QUERY, PROJECT_KEY, PROJECT_VALUE, PROJECT_OUTPUT, PROJECTIONS };

/* The own struct of layer_multi_head_attention. Inputs: query, value, key (default: the value), and after the key an
   attention mask. The mask can be broadcast to the weights; 0 excludes a pair of positions. The second output are the
   weights [free axes, heads, query's positions, value's positions]. */
struct multi_head_attention {
    struct axes
        axes;      /* the attention axes; none: all axes except the features. Attention runs separately for each index
                      of the other (free) axes */
    size_t window; /* sliding_window: a query attends only to keys at a distance below this number; 0 means no limit */
    size_t heads, key_dim, value_dim;
    size_t output_size; /* 0: the size of the query */
    bool use_bias, causal;
    struct initializer kernel_initializer, bias_initializer;
    /* built */
    struct layer_shape in[3]; /* the shapes of query, value and key */
    struct packed kernels[PROJECTIONS];
    float *starts[PROJECTIONS]; /* biases */
};

extern const struct layer_class layer_attention, layer_multi_head_attention;

#endif
