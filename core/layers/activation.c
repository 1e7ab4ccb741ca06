/* Activation, ReLU, Softmax and the like: a function of each vector. Source: keras/layers/activation/. */
#include "core/layers/layer.h"

#include <string.h>

static bool run(const struct layer *layer, struct layer_run *run)
{
    size_t width = layer->input_size;
    float *out = run->rows[0].outputs;
    memcpy(out, run->rows[0].inputs, run->vectors * width * sizeof *out);
    for (size_t i = 0; i < run->vectors; i++)
        vec_activate(layer->vec, &layer->activation, width, out + i * width);
    return true;
}

const struct layer_class layer_activation = {.masks = MASKS_PASS, .pointwise = true, .run = run};
