/* The axes of MultiHeadAttention: which positions see each other, and where the numbers of an attention mask lie. */
#ifndef RNN_LAYERS_MULTI_HEAD_SHAPE_H
#define RNN_LAYERS_MULTI_HEAD_SHAPE_H

#include "attention.h"

enum { MHA_INPUTS = 4, MHA_MAX_AXES = 2 * LAYER_MAX_AXES };

/* Free axes make groups; the queries of a group see the keys of the same group. */
struct mha_geometry {
    struct axes_tensor tensors[3]; /* of query, value and key: the axes of positions and features are on */
    size_t groups, queries, keys;
    bool timesteps;                    /* positions are timesteps, so that the masks of the inputs are theirs */
    size_t n_axes, axes[MHA_MAX_AXES]; /* of the weights: free axes, heads, the query's positions, the value's */
    size_t n_free;
    size_t mask_axes[MHA_MAX_AXES]; /* of the attention mask beside them: 1 where it is the same along an axis */
};

/* Numbers of an attention mask for one group, and how far apart they lie: 0 where they are the same. */
struct mha_mask {
    const float *at; /* NULL: there is no mask */
    size_t head, query, key;
};

/* The input that a projection takes: the key is the value where it is not given. */
static inline size_t mha_input_of(size_t projection, size_t n_inputs)
{
    return projection == PROJECT_QUERY ? 0 : projection == PROJECT_KEY && n_inputs > 2 ? 2 : 1;
}

/* RNN_ESHAPE with a sentence where inputs of these shapes do not fit together. Sizes that are not known yet are 0. */
enum rnn_status mha_geometry_of(const struct layer *layer, const struct layer_shape *in, size_t n_inputs,
                                struct mha_geometry *out, struct rnn_error *err);

struct mha_mask mha_mask_of(const struct mha_geometry *geometry, size_t group, const float *mask);

#endif
