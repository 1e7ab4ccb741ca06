/* Pooling over windows: what is padded counts neither in a maximum nor in an average. Source:
   keras/layers/pooling/base_pooling{1d,2d}.py. */
#include "pool.h"

#include <math.h>

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

static void pool_vector(bool average, const float *x, const struct window_input *in, const size_t first[2],
                        const size_t end[2], float *out)
{
    size_t n = (end[0] - first[0]) * (end[1] - first[1]), channels = in->channels;
    for (size_t c = 0; c < channels; c++) {
        double sum = 0;
        float most = -INFINITY;
        for (size_t i = first[0]; i < end[0]; i++)
            for (size_t j = first[1]; j < end[1]; j++) {
                float value = x[(i * in->lengths[1] + j) * channels + c];
                sum += (double)value;
                most = value > most || value != value ? value : most;
            }
        out[c] = average ? (float)(sum / (double)n) : most;
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
                pool_vector(pool->average, run->in[0][b].at, &in, first, end, out);
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
