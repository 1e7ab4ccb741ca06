/* Attention of one row: packs keys and values into matrices, and multiplies groups of queries by both. */
#include "attention_scores.h"

#include <math.h>
#include <string.h>

enum {
    QUERIES = 32,
    LANES = 8
}; /* QUERIES: the queries of one product. LANES: partial sums, which compilers
                                     vectorise */

/* The work space contains, in this order: zeros as biases of the products; packed keys; packed values; scores; the
   result of a product. */
bool attention_space(const struct vec_ops *vec, size_t keys, size_t depth, size_t width, size_t *floats)
{
    size_t columns = packed_width(keys, vec->lanes), wide = packed_width(width, vec->lanes);
    const size_t sizes[][2] = {
        {1, columns > wide ? columns : wide}, {columns, depth}, {wide, keys}, {columns, QUERIES}, {wide, QUERIES}};
    *floats = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        size_t product;
        if (!rnn_size_mul(sizes[i][0], sizes[i][1], &product) || !rnn_size_add(*floats, product, floats))
            return false;
    }
    return true;
}

static double sum_of(size_t n, const float *x)
{
    double sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sums[j] += (double)x[i + j];
    for (; i < n; i++)
        sums[0] += (double)x[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/* Replace the scores of n keys by their softmax. */
static void softmax(const struct vec_ops *vec, size_t n, float *scores)
{
    static const struct activation exponential = {.kind = ACT_EXPONENTIAL};
    float most = scores[0];
    for (size_t i = 1; i < n; i++)
        most = scores[i] > most ? scores[i] : most;
    for (size_t i = 0; i < n; i++)
        scores[i] -= most;
    vec_activate(vec, &exponential, n, scores);
    float scale = (float)(1 / sum_of(n, scores));
    for (size_t i = 0; i < n; i++)
        scores[i] *= scale;
}

void attention_job_run(const struct attention_job *job, float *space)
{
    const struct attention_vectors *query = &job->query, *key = &job->key, *value = &job->value;
    size_t columns = packed_width(key->n, job->vec->lanes), wide = packed_width(value->width, job->vec->lanes);
    float *keys_at = space + (columns > wide ? columns : wide), *values_at = keys_at + columns * key->width;
    float *scores = values_at + wide * key->n, *sums = scores + columns * QUERIES;
    struct packed keys, values;
    packed_borrow(&keys, key->width, key->n, job->vec->lanes, keys_at);
    packed_borrow(&values, value->n, value->width, job->vec->lanes, values_at);
    memset(space, 0, (size_t)(keys_at - space) * sizeof *space);
    if (job->products)
        packed_fill_columns(&keys, key->at, key->stride);
    packed_fill(&values, value->at, value->stride);
    for (size_t first = 0, n; first < query->n; first += n) {
        n = query->n - first < QUERIES ? query->n - first : QUERIES;
        if (job->products)
            job->vec->product(&keys, vec_all(&keys), n, query->at + first * query->stride, query->stride, space, 0,
                              scores);
        for (size_t i = 0; i < n; i++) {
            job->score(job->context, first + i, scores + i * columns);
            softmax(job->vec, key->n, scores + i * columns);
            if (job->weights)
                memcpy(job->weights + (first + i) * key->n, scores + i * columns, key->n * sizeof *scores);
        }
        /* The product can write its rows directly into the output if they have no padding and other heads write
           nothing between them. */
        bool whole = wide == value->width && wide == job->out_stride;
        float *out = job->out + first * job->out_stride, *to = whole ? out : sums;
        job->vec->product(&values, vec_all(&values), n, scores, columns, space, 0, to);
        for (size_t i = 0; !whole && i < n; i++)
            memcpy(out + i * job->out_stride, to + i * wide, value->width * sizeof *out);
    }
}

enum rnn_status attention_check(const struct layer *layer, const struct layer_shape *in, struct rnn_error *err)
{
    if (layer->n_inputs < 2)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) takes a query and a value", layer->name, layer->class_name);
    for (size_t k = 0; k < layer->n_inputs; k++)
        if (!in[k].sequence || in[k].rank > 1 || in[k].scalar)
            return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): input %zu is not a sequence of vectors", layer->name,
                            layer->class_name, k);
    if (layer->n_inputs > 2 && in[1].timesteps != in[2].timesteps)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): the value has %zu timesteps, the key %zu", layer->name,
                        layer->class_name, in[1].timesteps, in[2].timesteps);
    return RNN_OK;
}
