/* Flatten and Reshape (the numbers stay where they are), and RepeatVector. Source: keras/layers/reshaping/. */
#include "reshape.h"

#include <stdint.h>
#include <string.h>

/* One size of the target may be open; it takes what is left. 0 where the number of timesteps is not known yet. */
static enum rnn_status reshape_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                     struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences;
    const struct reshape *reshape = layer->own;
    size_t total, fixed = 1, sizes[2] = {reshape->target[0], reshape->target[1]}, open = reshape->rank;
    if (!rnn_size_mul(in->timesteps, in->width, &total))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": too many numbers", layer->name);
    for (size_t i = 0; i < reshape->rank; i++) {
        if (sizes[i] == SIZE_MAX)
            open = i;
        else if (!rnn_size_mul(fixed, sizes[i], &fixed))
            return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": too many numbers", layer->name);
    }
    if (open < reshape->rank)
        sizes[open] = total / fixed;
    if (total && (open < reshape->rank ? total % fixed || !sizes[open] : total != fixed))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" cannot turn %zu timesteps of %zu numbers into its target_shape",
                        layer->name, in->timesteps, in->width);
    bool rows = reshape->rank == 2;
    *out = (struct layer_shape){.sequence = rows, .timesteps = rows ? sizes[0] : 1, .width = sizes[rows]};
    return RNN_OK;
}

static bool reshape_run(const struct layer *layer, struct layer_run *run)
{
    memcpy(run->rows[0].outputs, run->rows[0].inputs, run->vectors * layer->input_size * sizeof(float));
    return true;
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
    const float *x = run->rows[0].inputs;
    float *out = run->rows[0].outputs;
    for (size_t b = 0; b < run->n; b++, x += width)
        for (size_t i = 0; i < repeat->n; i++, out += width)
            memcpy(out, x, width * sizeof *out);
    return true;
}

const struct layer_class layer_reshape = {
    .size = sizeof(struct reshape), .masks = MASKS_STOP, .shape = reshape_shape, .run = reshape_run};
const struct layer_class layer_repeat_vector = {
    .size = sizeof(struct repeat_vector), .masks = MASKS_STOP, .shape = repeat_shape, .run = repeat_run};
