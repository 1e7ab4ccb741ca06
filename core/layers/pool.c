/* Pooling over windows: padding counts neither in a maximum nor in an average. Source:
   keras/layers/pooling/base_pooling{1d,2d}.py. */
#include "pool.h"

#include <string.h>

static void pool_defaults(void *own)
{
    struct pool_window *pool = own;
    window_defaults(&pool->window);
    pool->window.rank = 1;
}

static enum rnn_status pool_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                  struct layer_shape *out, struct rnn_error *err)
{
    const struct pool_window *pool = layer->own;
    size_t axes[LAYER_MAX_AXES];
    (void)sequences;
    if (layer_axes(in, axes) != pool->window.rank + 1)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) takes a tensor of %zu axes after the batch", layer->name,
                        layer->class_name, pool->window.rank + 1);
    return window_shape(layer, &pool->window, in, layer_features(in), out, err);
}

/* The part of a window at a place that lies within the input: [first, end). */
static void clip(const struct window *window, size_t axis, size_t place, size_t length, size_t *first, size_t *end)
{
    size_t start = place * window->strides[axis], before = window_before(window, axis, length);
    *first = start < before ? 0 : start - before;
    *end = start + window->size[axis] - before;
    *end = *end < length ? *end : length;
}

/* The inner loops run over channels, so that compilers can vectorise them. */
static void raise_to(size_t n, const float *x, float *out)
{
    for (size_t c = 0; c < n; c++)
        out[c] = x[c] > out[c] || x[c] != x[c] ? x[c] : out[c];
}

static void pool_maximum(const float *x, const struct window_input *in, const size_t first[2], const size_t end[2],
                         float *out)
{
    memcpy(out, x + (first[0] * in->lengths[1] + first[1]) * in->channels, in->channels * sizeof *out);
    for (size_t i = first[0]; i < end[0]; i++)
        for (size_t j = first[1]; j < end[1]; j++)
            raise_to(in->channels, x + (i * in->lengths[1] + j) * in->channels, out);
}

/* BLOCK channels at a time, so that the sums are on the stack. */
static void pool_average(const float *x, const struct window_input *in, const size_t first[2], const size_t end[2],
                         float *out)
{
    enum { BLOCK = 32 };
    double count = (double)((end[0] - first[0]) * (end[1] - first[1]));
    for (size_t c = 0; c < in->channels; c += BLOCK) {
        size_t n = in->channels - c < BLOCK ? in->channels - c : BLOCK;
        double sums[BLOCK] = {0};
        for (size_t i = first[0]; i < end[0]; i++)
            for (size_t j = first[1]; j < end[1]; j++) {
                const float *from = x + (i * in->lengths[1] + j) * in->channels + c;
                for (size_t k = 0; k < n; k++)
                    sums[k] += (double)from[k];
            }
        for (size_t k = 0; k < n; k++)
            out[c + k] = (float)(sums[k] / count);
    }
}

static bool pool_run(const struct layer *layer, struct layer_run *run)
{
    const struct pool_window *pool = layer->own;
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        struct window_input in;
        size_t places[2], first[2], end[2];
        shape.timesteps = run->in[0][b].timesteps;
        window_input_of(&pool->window, &shape, &in);
        for (size_t i = 0; i < 2; i++)
            places[i] = window_places(&pool->window, i, in.lengths[i]);
        float *out = run->out[b].at;
        for (size_t i = 0; i < places[0]; i++)
            for (size_t j = 0; j < places[1]; j++, out += in.channels) {
                clip(&pool->window, 0, i, in.lengths[0], &first[0], &end[0]);
                clip(&pool->window, 1, j, in.lengths[1], &first[1], &end[1]);
                (pool->average ? pool_average : pool_maximum)(run->in[0][b].at, &in, first, end, out);
            }
    }
    return true;
}

const struct layer_class layer_pool = {
    .size = sizeof(struct pool_window),
    .masks = MASKS_STOP,
    .defaults = pool_defaults,
    .shape = pool_shape,
    .run = pool_run,
};
