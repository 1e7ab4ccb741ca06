/* The axes along which a layer works: LayerNormalization works over some axes, BatchNormalization has weights along
   one. */
#ifndef RNN_LAYERS_AXES_H
#define RNN_LAYERS_AXES_H

#include "layer.h"

/* Axes are numbered as in Keras: the batch is 0, the last axis -1. In a TimeDistributed they are the axes of one
   timestep. */
struct axes {
    size_t n;
    long at[LAYER_MAX_AXES];
};

extern const struct axes axes_last; /* { -1 } */

/* The shape of one row. `on` selects some of its axes. A GroupNormalization splits one axis in two. */
struct axes_tensor {
    size_t n, sizes[LAYER_MAX_AXES + 1];
    bool on[LAYER_MAX_AXES + 1];
};

/* Select these axes of a shape. RNN_ESHAPE if an axis does not exist, or is given twice. */
enum rnn_status axes_of(const struct layer *layer, const struct axes *axes, const struct layer_shape *in,
                        struct axes_tensor *out, struct rnn_error *err);

/* The number of elements along the selected axes. */
size_t axes_numbers(const struct axes_tensor *tensor);

/* Whether the timesteps are a selected axis. */
bool axes_have_time(const struct layer_shape *in, const struct axes_tensor *tensor);

/* RNN_ESHAPE if weights along the selected axes do not fit: an open number of timesteps does not fit. Once the layer is
   built, only the number of its weights fits. */
enum rnn_status axes_check_weights(const struct layer *layer, const struct layer_shape *in,
                                   const struct axes_tensor *tensor, struct rnn_error *err);

/* The shape of weights along the selected axes; ones: with 1 for each of the other axes. */
void axes_weight_shape(const struct axes_tensor *tensor, bool ones, struct layer_tensor *out);

/* Computes the numbers of one group, in place. */
typedef void axes_group(const struct layer *layer, size_t n, float *x);

/* Apply the function to each group of x and write out, which may be x. A group is a set of numbers whose positions
   differ only in the selected axes. space has room for one group; it is NULL if the selected axes are the last ones. */
void axes_for_groups(const struct layer *layer, const struct axes_tensor *tensor, const float *x, float *out,
                     float *space, axes_group *group);

/* Copy the numbers of one group into contiguous memory, and back. */
void axes_gather(const struct axes_tensor *tensor, size_t group, const float *x, float *packed);
void axes_scatter(const struct axes_tensor *tensor, size_t group, const float *packed, float *out);

/* Computes n numbers. The first has the weight at w, the next the weight at w + step; step is 0 or 1. */
typedef void axes_weighted(const struct layer *layer, size_t n, const float *x, float *out, size_t w, size_t step);

/* The weight of a number depends on its position along the selected axes. */
void axes_for_weights(const struct layer *layer, const struct axes_tensor *tensor, const float *x, float *out,
                      axes_weighted *weighted);

/* ---- functions of classes whose own struct begins with a struct axes ---- */

/* The output has the shape of the input: for layers with weights along the axes, and for layers without. */
enum rnn_status axes_weights_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err);
enum rnn_status axes_groups_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                  struct layer_shape *out, struct rnn_error *err);

/* Timestep by timestep, unless the timesteps are a selected axis. */
enum layer_time axes_time(const struct layer *layer);

/* Room for a group. */
bool axes_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux);

/* All rows. */
bool axes_run_groups(const struct layer *layer, struct layer_run *run, axes_group *group);
bool axes_run_weights(const struct layer *layer, struct layer_run *run, axes_weighted *weighted);

#endif
