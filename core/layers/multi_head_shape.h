/* The axes of MultiHeadAttention: the positions that attend to each other, and the positions of the numbers of an
   attention mask. */
#ifndef RNN_LAYERS_MULTI_HEAD_SHAPE_H
#define RNN_LAYERS_MULTI_HEAD_SHAPE_H

#include "attention.h"

enum { MHA_INPUTS = 4, MHA_MAX_AXES = 2 * LAYER_MAX_AXES };

/* Each combination of indices of the free axes is a group. The queries of a group attend to the keys of the same
   group. */
struct mha_geometry {
    struct axes_tensor tensors[3]; /* of query, value and key; the axes of positions and of features are selected */
    size_t groups, queries, keys;
    bool timesteps;                    /* the positions are timesteps, so that the masks of the inputs apply to them */
    size_t n_axes, axes[MHA_MAX_AXES]; /* the axes of the weights: free axes, heads, the query's positions, the value's
                                          positions */
    size_t n_free;
    size_t mask_axes[MHA_MAX_AXES]; /* the corresponding axes of the attention mask; 1 if the mask is broadcast along
                                       the axis */
};

/* The numbers of an attention mask for one group, and their strides. A stride is 0 if the mask is broadcast along the
   axis. */
struct mha_mask {
    const float *at; /* NULL: there is no mask */
    size_t head, query, key;
};

/* The input of a projection. If no key is given, the value is also the key. */
static inline size_t mha_input_of(size_t projection, size_t n_inputs)
{
    return projection == PROJECT_QUERY ? 0 : projection == PROJECT_KEY && n_inputs > 2 ? 2 : 1;
}

/* Returns RNN_ESHAPE with an error sentence if inputs of these shapes do not fit together. Unknown sizes are 0. */
enum rnn_status mha_geometry_of(const struct layer *layer, const struct layer_shape *in, size_t n_inputs,
                                struct mha_geometry *out, struct rnn_error *err);

struct mha_mask mha_mask_of(const struct mha_geometry *geometry, size_t group, const float *mask);

#endif
