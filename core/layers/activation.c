/* Activation, ReLU, Softmax and similar layers: a function of each vector. Source: keras/layers/activation/. */
#include "activation.h"

#include <string.h>

static bool activation_run(const struct layer *layer, struct layer_run *run)
{
    const struct activation *activation = layer->own;
    size_t width = layer->input_size;
    float *out = run->out[0].at;
    memcpy(out, run->in[0][0].at, run->vectors * width * sizeof *out);
    for (size_t i = 0; i < run->vectors; i++)
        vec_activate(layer->vec, activation, width, out + i * width);
    return true;
}

static const struct activation *activation_own(const struct layer *layer)
{
    return layer->own;
}

const struct layer_class layer_activation = {
    .size = sizeof(struct activation),
    .masks = MASKS_PASS,
    .pointwise = true,
    .run = activation_run,
    .activation = activation_own,
};

static void softmax_defaults(void *own)
{
    struct softmax *softmax = own;
    softmax->axes = axes_last;
    softmax->activation = (struct activation){.kind = ACT_SOFTMAX};
}

static void softmax_group(const struct layer *layer, size_t n, float *x)
{
    const struct softmax *softmax = layer->own;
    vec_activate(layer->vec, &softmax->activation, n, x);
}

/* The strides of a mask along the axes of a value; *n is their number. */
struct broadcast {
    size_t n, sizes[LAYER_MAX_AXES], strides[LAYER_MAX_AXES];
};

/* Returns false if the mask cannot be broadcast to the value. Unknown sizes are 0. */
static bool broadcast_of(const struct layer_shape *value, const struct layer_shape *mask, struct broadcast *out)
{
    size_t axes[LAYER_MAX_AXES], stride = 1;
    out->n = layer_axes(value, out->sizes);
    if (layer_axes(mask, axes) != out->n)
        return false;
    for (size_t i = out->n; i-- > 0; stride *= axes[i]) {
        if (axes[i] != 1 && axes[i] != out->sizes[i] && axes[i] && out->sizes[i])
            return false;
        out->strides[i] = axes[i] == 1 ? 0 : stride;
    }
    return true;
}

static size_t place_in_mask(const struct broadcast *mask, size_t i)
{
    size_t at = 0;
    for (size_t k = mask->n; k-- > 0; i /= mask->sizes[k])
        at += i % mask->sizes[k] * mask->strides[k];
    return at;
}

static void mask_scores(const struct softmax *softmax, const struct broadcast *mask, const float *counts, size_t n,
                        const float *scores, float *out)
{
    const float masked_score = -1e9f;
    for (size_t i = 0; i < n; i++) {
        float keep = counts[place_in_mask(mask, i)];
        if (softmax->masked_are_zero)
            out[i] = keep > 0.5f ? scores[i] : masked_score;
        else
            out[i] = scores[i] + (1 - keep) * masked_score;
    }
}

static void softmax_masked(const struct layer *layer, const struct layer_run *run, size_t b)
{
    const struct softmax *softmax = layer->own;
    struct layer_shape shape = run->in_shapes[0], mask_shape = run->in_shapes[1];
    struct axes_tensor tensor;
    struct broadcast mask;
    const float *counts = run->in[1][b].at;
    float *out = run->out[b].at;
    shape.timesteps = run->in[0][b].timesteps;
    mask_shape.timesteps = run->in[1][b].timesteps;
    size_t n = shape.timesteps * shape.width;
    broadcast_of(&shape, &mask_shape, &mask);
    axes_of(layer, &softmax->axes, &shape, &tensor, NULL);
    mask_scores(softmax, &mask, counts, n, run->in[0][b].at, out);
    axes_for_groups(layer, &tensor, out, out, run->aux, softmax_group);
    for (size_t i = 0; softmax->masked_are_zero && i < n; i++)
        if (!(counts[place_in_mask(&mask, i)] > 0.5f))
            out[i] = 0;
}

static bool softmax_run(const struct layer *layer, struct layer_run *run)
{
    if (run->n_inputs < 2)
        return axes_run_groups(layer, run, softmax_group);
    for (size_t b = 0; b < run->n; b++)
        softmax_masked(layer, run, b);
    return true;
}

static enum rnn_status softmax_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                     struct layer_shape *out, struct rnn_error *err)
{
    struct broadcast mask;
    if (layer->n_inputs > 1 && !broadcast_of(&in[0], &in[1], &mask))
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (Softmax): expected a mask with as many axes as the input, each of the same size "
                        "or 1",
                        layer->name);
    return axes_groups_shape(layer, in, sequences, out, err);
}

static const struct activation *softmax_activation(const struct layer *layer)
{
    const struct softmax *softmax = layer->own;
    return &softmax->activation;
}

const struct layer_class layer_softmax = {
    .size = sizeof(struct softmax),
    .masks = MASKS_PASS,
    .most_inputs = 2,
    .defaults = softmax_defaults,
    .shape = softmax_shape,
    .time = axes_time,
    .aux = axes_aux,
    .run = softmax_run,
    .activation = softmax_activation,
};
