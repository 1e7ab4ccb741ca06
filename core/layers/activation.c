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
