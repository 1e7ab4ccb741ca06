/* Sums in eight parts, which compilers turn into vectors. */
#include "attention_scores.h"

#include <math.h>
#include <string.h>

enum { LANES = 8 };

float attention_dot(size_t n, const float *a, const float *b)
{
    float sums[LANES] = {0};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++)
            sums[j] += a[i + j] * b[i + j];
    for (; i < n; i++)
        sums[0] += a[i] * b[i];
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

void attention_softmax(size_t n, float *scores)
{
    float most = scores[0];
    double sum = 0;
    for (size_t i = 1; i < n; i++)
        most = scores[i] > most ? scores[i] : most;
    for (size_t i = 0; i < n; i++) {
        scores[i] = expf(scores[i] - most);
        sum += (double)scores[i];
    }
    for (size_t i = 0; i < n; i++)
        scores[i] = (float)((double)scores[i] / sum);
}

void attention_sum(size_t n, const float *weights, const float *values, size_t stride, size_t width, float *out)
{
    memset(out, 0, width * sizeof *out);
    for (size_t i = 0; i < n; i++, values += stride)
        for (size_t k = 0; k < width; k++)
            out[k] += weights[i] * values[k];
}

enum rnn_status attention_check(const struct layer *layer, const struct layer_shape *in, struct rnn_error *err)
{
    if (layer->n_inputs < 2)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) takes a query and a value", layer->name, layer->class_name);
    for (size_t k = 0; k < layer->n_inputs; k++)
        if (!in[k].sequence || in[k].rank > 1 || in[k].scalar)
            return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): input %zu is no sequence of vectors", layer->name,
                            layer->class_name, k);
    if (layer->n_inputs > 2 && in[1].timesteps != in[2].timesteps)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): the value has %zu timesteps, the key %zu", layer->name,
                        layer->class_name, in[1].timesteps, in[2].timesteps);
    return RNN_OK;
}
