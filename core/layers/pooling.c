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
    size_t axes[LAYER_MAX_AXES], n = pooling->planes ? 2 : 1, features = layer_features(in);
    const size_t kept[] = {1, 1, features};
    if (!in->sequence || layer_axes(in, axes) != n + 1)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" takes %s", layer->name,
                        pooling->planes ? "images [height, width, channels]"
                                        : "a sequence of vectors [timesteps, features]");
    if (pooling->keepdims)
        layer_shape_of(n + 1, kept + 2 - n, out);
    else
        *out = (struct layer_shape){.timesteps = 1, .width = features};
    return RNN_OK;
}

/* Up to BLOCK features at a time, so that the sums are on the stack. The inner loops run over features, so that
   compilers can vectorise them. */
enum { BLOCK = 64 };

static void average_features(const struct layer_view *row, size_t n, size_t width, size_t features, const float *x,
                             float *out)
{
    double sums[BLOCK] = {0}, count = 0;
    for (size_t t = 0; t < n; t++, x += width) {
        if (row->mask && !row->mask[t * row->mask_stride])
            continue;
        for (size_t f = 0; f < features; f++)
            sums[f] += (double)x[f];
        count++;
    }
    for (size_t f = 0; f < features; f++)
        out[f] = (float)(sums[f] / count);
}

static bool average_run(const struct layer *layer, struct layer_run *run)
{
    size_t width = layer->input_size;
    const float *x = run->in[0][0].at;
    float *out = run->out[0].at;
    for (size_t b = 0; b < run->n; b++, out += width) {
        const struct layer_view *row = &run->in[0][b];
        size_t n = row->timesteps * (run->in_shapes[0].width / width);
        for (size_t f = 0; f < width; f += BLOCK)
            average_features(row, n, width, width - f < BLOCK ? width - f : BLOCK, x + f, out + f);
        x += n * width;
    }
    return true;
}

static bool maximum_run(const struct layer *layer, struct layer_run *run)
{
    size_t width = layer->input_size;
    const float *x = run->in[0][0].at;
    float *out = run->out[0].at;
    for (size_t b = 0; b < run->n; b++, out += width) {
        memcpy(out, x, width * sizeof *out);
        x += width;
        for (size_t t = 1; t < run->in[0][b].timesteps * (run->in_shapes[0].width / width); t++, x += width)
            for (size_t f = 0; f < width; f++)
                out[f] = x[f] > out[f] || x[f] != x[f] ? x[f] : out[f];
    }
    return true;
}

static bool last_run(const struct layer *layer, struct layer_run *run)
{
    size_t width = layer->input_size;
    const float *x = run->in[0][0].at;
    float *out = run->out[0].at;
    for (size_t b = 0; b < run->n; b++, out += width) {
        const struct layer_view *row = &run->in[0][b];
        size_t t = row->timesteps - 1;
        while (t && row->mask && !row->mask[t * row->mask_stride])
            t--;
        memcpy(out, x + t * width, width * sizeof *out);
        x += row->timesteps * width;
    }
    return true;
}

static enum layer_time last_time(const struct layer *layer)
{
    (void)layer;
    return TIME_LAST;
}

const struct layer_class layer_average_pooling = {
    .size = sizeof(struct pooling), .masks = MASKS_STOP, .shape = pooling_shape, .run = average_run};
const struct layer_class layer_max_pooling = {
    .size = sizeof(struct pooling), .masks = MASKS_STOP, .shape = pooling_shape, .run = maximum_run};
const struct layer_class layer_last_timestep = {
    .size = sizeof(struct pooling), .masks = MASKS_STOP, .shape = pooling_shape, .run = last_run, .time = last_time};
