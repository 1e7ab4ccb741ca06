/* Flatten and Reshape (the numbers stay where they are), and RepeatVector. Source: keras/layers/reshaping/. */
#include "core/layers/layer.h"

#include <stdint.h>
#include <string.h>

/* One size of the target may be open; it takes what is left. 0 where the number of timesteps is not known yet. */
static enum rnn_status shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences;
    size_t total, fixed = 1, sizes[2] = {layer->target[0], layer->target[1]}, open = layer->target_rank;
    if (!rnn_size_mul(in->timesteps, in->width, &total))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": too many numbers", layer->name);
    for (size_t i = 0; i < layer->target_rank; i++) {
        if (sizes[i] == SIZE_MAX)
            open = i;
        else if (!rnn_size_mul(fixed, sizes[i], &fixed))
            return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": too many numbers", layer->name);
    }
    if (open < layer->target_rank)
        sizes[open] = total / fixed;
    if (total && (open < layer->target_rank ? total % fixed || !sizes[open] : total != fixed))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" cannot turn %zu timesteps of %zu numbers into its target_shape",
                        layer->name, in->timesteps, in->width);
    bool rows = layer->target_rank == 2;
    *out = (struct layer_shape){.sequence = rows, .timesteps = rows ? sizes[0] : 1, .width = sizes[rows]};
    return RNN_OK;
}

static bool run(const struct layer *layer, struct layer_run *run)
{
    memcpy(run->rows[0].outputs, run->rows[0].inputs, run->vectors * layer->input_size * sizeof(float));
    return true;
}

static enum rnn_status repeat_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                    struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences;
    if (in->sequence)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (RepeatVector) takes one vector, not a sequence", layer->name);
    *out = (struct layer_shape){.sequence = true, .timesteps = layer->units, .width = in->width};
    return RNN_OK;
}

static bool repeat_run(const struct layer *layer, struct layer_run *run)
{
    size_t width = layer->input_size;
    const float *x = run->rows[0].inputs;
    float *out = run->rows[0].outputs;
    for (size_t b = 0; b < run->n; b++, x += width)
        for (size_t i = 0; i < layer->units; i++, out += width)
            memcpy(out, x, width * sizeof *out);
    return true;
}

const struct layer_class layer_reshape = {.masks = MASKS_STOP, .shape = shape, .run = run};
const struct layer_class layer_repeat_vector = {.masks = MASKS_STOP, .shape = repeat_shape, .run = repeat_run};
