/* Activation, ReLU, Softmax and the like: a function of each vector. Source: keras/layers/activation/. */
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

static bool softmax_run(const struct layer *layer, struct layer_run *run)
{
    return axes_run_groups(layer, run, softmax_group);
}

static const struct activation *softmax_activation(const struct layer *layer)
{
    const struct softmax *softmax = layer->own;
    return &softmax->activation;
}

const struct layer_class layer_softmax = {
    .size = sizeof(struct softmax),
    .masks = MASKS_PASS,
    .defaults = softmax_defaults,
    .shape = axes_groups_shape,
    .time = axes_time,
    .aux = axes_aux,
    .run = softmax_run,
    .activation = softmax_activation,
};
