/* Flatten and Reshape (the numbers are not moved), and RepeatVector. Source: keras/layers/reshaping/. */
#include "reshape.h"

#include <stdint.h>
#include <string.h>

/* One size of the target may be open and is computed from the others. It is 0 if the number of timesteps is not
   known. */
static enum rnn_status reshape_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                     struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences;
    const struct reshape *reshape = layer->own;
    size_t total, fixed = 1, sizes[LAYER_MAX_AXES], open = reshape->rank;
    bool good = rnn_size_mul(in->timesteps, in->width, &total);
    for (size_t i = 0; i < reshape->rank; i++) {
        sizes[i] = reshape->target[i];
        if (sizes[i] == SIZE_MAX)
            open = i;
        else
            good = good && rnn_size_mul(fixed, sizes[i], &fixed);
    }
    if (open < reshape->rank)
        sizes[open] = total / fixed;
    if (good && total && (open < reshape->rank ? total % fixed || !sizes[open] : total != fixed))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" cannot reshape %zu timesteps of %zu numbers to its target_shape",
                        layer->name, in->timesteps, in->width);
    if (!good || !layer_shape_of(reshape->rank, sizes, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    out->ids = in->ids;
    return RNN_OK;
}

/* The timesteps remain timesteps if only the axes of each timestep change. */
static enum layer_time reshape_time(const struct layer *layer)
{
    const struct reshape *reshape = layer->own;
    size_t rest = 1;
    for (size_t i = 1; i < reshape->rank; i++)
        rest = reshape->target[i] == SIZE_MAX || !rnn_size_mul(rest, reshape->target[i], &rest) ? 0 : rest;
    bool stays = layer->input.sequence && reshape->rank > 1 && reshape->target[0] == SIZE_MAX;
    return stays && rest == layer->input.width ? TIME_POINTWISE : TIME_WHOLE;
}

static enum rnn_status repeat_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                    struct layer_shape *out, struct rnn_error *err)
{
    const struct repeat_vector *repeat = layer->own;
    (void)sequences;
    if (in->sequence)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (RepeatVector) takes one vector, not a sequence", layer->name);
    *out = (struct layer_shape){.sequence = true, .timesteps = repeat->n, .width = in->width};
    return RNN_OK;
}

static bool repeat_run(const struct layer *layer, struct layer_run *run)
{
    const struct repeat_vector *repeat = layer->own;
    size_t width = layer->input_size;
    const float *x = run->in[0][0].at;
    float *out = run->out[0].at;
    for (size_t b = 0; b < run->n; b++, x += width)
        for (size_t i = 0; i < repeat->n; i++, out += width)
            memcpy(out, x, width * sizeof *out);
    return true;
}

const struct layer_class layer_reshape = {
    .size = sizeof(struct reshape), .masks = MASKS_STOP, .view = true, .time = reshape_time, .shape = reshape_shape};
const struct layer_class layer_repeat_vector = {
    .size = sizeof(struct repeat_vector), .masks = MASKS_STOP, .shape = repeat_shape, .run = repeat_run};
