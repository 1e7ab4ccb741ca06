/* Code for all attention layers: the softmax of the scores, and the weighted sums of values. */
#ifndef RNN_LAYERS_ATTENTION_SCORES_H
#define RNN_LAYERS_ATTENTION_SCORES_H

#include "layer.h"

/* n vectors of `width` numbers, `stride` floats apart. */
struct attention_vectors {
    const float *at;
    size_t n, width, stride;
};

/**
 * Attention for one row, or for one head of a row.
 *
 * products  the scores that `score` gets are the products of the query with every key; else it computes them.
 * score     completes the scores [keys] of query t: a scale, what does not count.
 * weights   [queries][keys] becomes what the softmax gives; NULL: nobody wants it.
 * out       [queries][width of a value], out_stride floats apart.
 */
struct attention_job {
    const struct vec_ops *vec;
    struct attention_vectors query, key, value;
    bool products;
    void (*score)(const void *context, size_t t, float *scores);
    const void *context;
    float *weights, *out;
    size_t out_stride;
};

/* The floats of work space for `keys` keys of `depth` numbers, with values of `width` numbers. Returns false if the
   size overflows. */
bool attention_space(const struct vec_ops *vec, size_t keys, size_t depth, size_t width, size_t *floats);

/* Keys and values are packed like weights, so that both products run in register tiles. */
void attention_job_run(const struct attention_job *job, float *space);

/* Whether timestep t of a row is not masked. */
static inline bool attention_counts(const struct layer_view *view, size_t t)
{
    return !view->mask || view->mask[t * view->mask_stride];
}

/* Check that all inputs are sequences of vectors, and that value and key have the same number of timesteps. */
enum rnn_status attention_check(const struct layer *layer, const struct layer_shape *in, struct rnn_error *err);

#endif
