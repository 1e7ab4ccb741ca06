/* What all kinds of attention share: products of vectors, the softmax over scores, and sums of values. */
#ifndef RNN_LAYERS_ATTENTION_SCORES_H
#define RNN_LAYERS_ATTENTION_SCORES_H

#include "layer.h"

/* The sum of a[i] * b[i]. */
float attention_dot(size_t n, const float *a, const float *b);

/* Whether timestep t of a row counts. */
static inline bool attention_counts(const struct layer_view *view, size_t t)
{
    return !view->mask || view->mask[t * view->mask_stride];
}

/* In place: scores of n keys become weights whose sum is 1. */
void attention_softmax(size_t n, float *scores);

/* out [width] becomes the sum of weights[i] times row i of values, whose rows lie `stride` floats apart. */
void attention_sum(size_t n, const float *weights, const float *values, size_t stride, size_t width, float *out);

/* The sequences of all inputs have a time axis and vectors, and value and key the same number of timesteps. */
enum rnn_status attention_check(const struct layer *layer, const struct layer_shape *in, struct rnn_error *err);

#endif
