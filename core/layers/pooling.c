/* Sequences become one vector: GlobalAveragePooling1D (over the timesteps that count), GlobalMaxPooling1D (over all),
   and the last timestep that counts (PyTorch's outputs[:, -1]). Source:
   keras/layers/pooling/global_{average,max}_pooling1d.py. */
#include "pooling.h"

#include <string.h>

static enum rnn_status pooling_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                     struct layer_shape *out, struct rnn_error *err)
{
    const struct pooling *pooling = layer->own;
    (void)sequences;
    if (!in->sequence)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" takes a sequence, not one vector", layer->name);
    *out = (struct layer_shape){.sequence = pooling->keepdims, .timesteps = 1, .width = in->width};
    return RNN_OK;
}

static bool average_run(const struct layer *layer, struct layer_run *run)
{
    size_t width = layer->input_size;
    const float *x = run->rows[0].inputs;
    float *out = run->rows[0].outputs;
    for (size_t b = 0; b < run->n; b++, out += width) {
        const struct rnn_row *row = &run->rows[b];
        for (size_t f = 0; f < width; f++) {
            double sum = 0, count = 0;
            for (size_t t = 0; t < row->timesteps; t++) {
                if (row->mask && !row->mask[t * row->mask_stride])
                    continue;
                sum += (double)x[t * width + f];
                count++;
            }
            out[f] = (float)(sum / count);
        }
        x += row->timesteps * width;
    }
    return true;
}

static bool maximum_run(const struct layer *layer, struct layer_run *run)
{
    size_t width = layer->input_size;
    const float *x = run->rows[0].inputs;
    float *out = run->rows[0].outputs;
    for (size_t b = 0; b < run->n; b++, out += width) {
        memcpy(out, x, width * sizeof *out);
        x += width;
        for (size_t t = 1; t < run->rows[b].timesteps; t++, x += width)
            for (size_t f = 0; f < width; f++)
                out[f] = x[f] > out[f] || x[f] != x[f] ? x[f] : out[f];
    }
    return true;
}

static bool last_run(const struct layer *layer, struct layer_run *run)
{
    size_t width = layer->input_size;
    const float *x = run->rows[0].inputs;
    float *out = run->rows[0].outputs;
    for (size_t b = 0; b < run->n; b++, out += width) {
        const struct rnn_row *row = &run->rows[b];
        size_t t = row->timesteps - 1;
        while (t && row->mask && !row->mask[t * row->mask_stride])
            t--;
        memcpy(out, x + t * width, width * sizeof *out);
        x += row->timesteps * width;
    }
    return true;
}

const struct layer_class layer_average_pooling = {
    .size = sizeof(struct pooling), .masks = MASKS_STOP, .shape = pooling_shape, .run = average_run};
const struct layer_class layer_max_pooling = {
    .size = sizeof(struct pooling), .masks = MASKS_STOP, .shape = pooling_shape, .run = maximum_run};
const struct layer_class layer_last_timestep = {
    .size = sizeof(struct pooling), .masks = MASKS_STOP, .shape = pooling_shape, .run = last_run};
