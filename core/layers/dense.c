/* Dense, and TimeDistributed(Dense), which is the same: activation(x K + b) on the last axis. Source:
   keras/layers/core/dense.py. */
#include "core/layers/layer.h"

#include <string.h>

enum { CHUNK = 32 }; /* vectors of one product */

static bool tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    if (i >= (layer->use_bias ? 2 : 1))
        return false;
    if (i)
        *out = (struct layer_tensor){
            .name = "bias", .rank = 1, .shape = {layer->units, 0}, .initializer = &layer->second_initializer};
    else
        *out = (struct layer_tensor){
            .name = "kernel", .rank = 2, .shape = {in->width, layer->units}, .initializer = &layer->first_initializer};
    return true;
}

static enum rnn_status shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                             struct layer_shape *out, struct rnn_error *err)
{
    (void)in, (void)sequences, (void)err;
    out->width = layer->units;
    return RNN_OK;
}

static enum rnn_status build(struct layer *layer, const float *const *tensors, struct rnn_error *err)
{
    enum rnn_status status = packed_init(&layer->kernel, tensors[0], layer->input_size, layer->units, 0, 1,
                                         layer->units, layer->vec->lanes, layer->format, err);
    if (status)
        return status;
    layer->start = packed_row(&layer->kernel, layer->use_bias ? tensors[1] : NULL);
    return layer->start ? RNN_OK : rnn_fail(err, RNN_ENOMEM, "out of memory for %zu units", layer->units);
}

static bool scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    (void)rows;
    return rnn_size_mul(packed_columns(&layer->kernel), CHUNK * sizeof(float), bytes) &&
           rnn_size_add(*bytes, RNN_ALIGNMENT, bytes);
}

static bool run(const struct layer *layer, struct layer_run *run)
{
    size_t columns = packed_columns(&layer->kernel), units = layer->units;
    const float *x = run->rows[0].inputs;
    float *out = run->rows[0].outputs;
    arena_reset(run->arena);
    float *z = arena_alloc(run->arena, CHUNK * columns, sizeof *z);
    for (size_t left = run->vectors; left;) {
        size_t n = left < CHUNK ? left : CHUNK;
        layer->vec->product(&layer->kernel, vec_all(&layer->kernel), n, x, layer->input_size, layer->start, 0, z);
        for (size_t i = 0; i < n; i++, out += units) {
            memcpy(out, z + i * columns, units * sizeof *out);
            vec_activate(layer->vec, &layer->activation, units, out);
        }
        x += n * layer->input_size;
        left -= n;
    }
    return true;
}

const struct layer_class layer_dense = {
    .masks = MASKS_PASS,
    .pointwise = true,
    .tensor = tensor,
    .shape = shape,
    .build = build,
    .scratch = scratch,
    .run = run,
};
