/* The axes that a layer works along: LayerNormalization over some of them, BatchNormalization with weights along one. */
#ifndef RNN_LAYERS_AXES_H
#define RNN_LAYERS_AXES_H

#include "layer.h"

/* As Keras counts: the batch is 0, the last axis -1. In a TimeDistributed, of one timestep. */
struct axes {
    size_t n;
    long at[LAYER_MAX_AXES];
};

extern const struct axes axes_last; /* { -1 } */

/* A tensor of one row; `on` says which of its axes are meant. A GroupNormalization splits one of them in two. */
struct axes_tensor {
    size_t n, sizes[LAYER_MAX_AXES + 1];
    bool on[LAYER_MAX_AXES + 1];
};

/* The tensor of this shape with these axes. RNN_ESHAPE for an axis that it does not have, or has twice. */
enum rnn_status axes_of(const struct layer *layer, const struct axes *axes, const struct layer_shape *in,
                        struct axes_tensor *out, struct rnn_error *err);

/* How many numbers lie along the axes that are on. */
size_t axes_numbers(const struct axes_tensor *tensor);

/* Whether timesteps are among the axes that are on. */
bool axes_have_time(const struct layer_shape *in, const struct axes_tensor *tensor);

/* RNN_ESHAPE unless weights along the axes that are on fit: an open number of timesteps does not, and once the layer is
   built, nor does any other number than that of its weights. */
enum rnn_status axes_check_weights(const struct layer *layer, const struct layer_shape *in,
                                   const struct axes_tensor *tensor, struct rnn_error *err);

/* The shape of weights along the axes that are on; ones: with 1 for each of the others. */
void axes_weight_shape(const struct axes_tensor *tensor, bool ones, struct layer_tensor *out);

/* What a layer does to numbers of one group, in place. */
typedef void axes_group(const struct layer *layer, size_t n, float *x);

/* Each set of numbers that differ in the axes that are on alone is a group: x becomes out, which may be x. space has room for one group,
   or is NULL where the axes that are on are the last ones. */
void axes_for_groups(const struct layer *layer, const struct axes_tensor *tensor, const float *x, float *out,
                     float *space, axes_group *group);

/* The numbers of one group, one after the other, and back. */
void axes_gather(const struct axes_tensor *tensor, size_t group, const float *x, float *packed);
void axes_scatter(const struct axes_tensor *tensor, size_t group, const float *packed, float *out);

/* What a layer does to n numbers; the first has the weight w, the next w + step: 0 or 1. */
typedef void axes_weighted(const struct layer *layer, size_t n, const float *x, float *out, size_t w, size_t step);

/* Each number has the weight of its place along the axes that are on. */
void axes_for_weights(const struct layer *layer, const struct axes_tensor *tensor, const float *x, float *out,
                      axes_weighted *weighted);

/* ---- functions of classes whose own struct begins with a struct axes ---- */

/* The shape stays; `shape` of layers with weights along the axes, and of those without. */
enum rnn_status axes_weights_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err);
enum rnn_status axes_groups_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                  struct layer_shape *out, struct rnn_error *err);

/* Timestep by timestep, unless the axes have time. */
enum layer_time axes_time(const struct layer *layer);

/* Room for a group. */
bool axes_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux);

/* All rows. */
bool axes_run_groups(const struct layer *layer, struct layer_run *run, axes_group *group);
bool axes_run_weights(const struct layer *layer, struct layer_run *run, axes_weighted *weighted);

#endif
