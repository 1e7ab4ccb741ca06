/* Copies features first to first + n - 1 of every vector. */
#include "slice.h"

#include <string.h>

static enum rnn_status slice_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err)
{
    const struct slice *slice = layer->own;
    size_t features = layer_features(in);
    (void)sequences;
    if (features && (slice->first >= features || slice->n > features - slice->first))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": expected at least %zu features, found %zu", layer->name,
                        slice->first + slice->n, features);
    if (!layer_set_features(out, slice->n))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

static bool slice_run(const struct layer *layer, struct layer_run *run)
{
    const struct slice *slice = layer->own;
    const float *x = run->in[0][0].at + slice->first;
    float *out = run->out[0].at;
    for (size_t i = 0; i < run->vectors; i++, x += layer->input_size, out += slice->n)
        memcpy(out, x, slice->n * sizeof *out);
    return true;
}

const struct layer_class layer_slice = {
    .size = sizeof(struct slice),
    .masks = MASKS_PASS,
    .pointwise = true,
    .takes_parts = true,
    .shape = slice_shape,
    .run = slice_run,
};
