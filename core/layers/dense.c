/* Dense, and TimeDistributed(Dense), which is the same: activation(x K + b) on the last axis. Source:
   keras/layers/core/dense.py. */
#include "dense.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 }; /* vectors of one product */

static bool dense_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    const struct dense *dense = layer->own;
    if (i >= (dense->use_bias ? 2 : 1))
        return false;
    if (i)
        *out = (struct layer_tensor){
            .name = "bias", .rank = 1, .shape = {dense->units}, .initializer = &dense->bias_initializer};
    else
        *out = (struct layer_tensor){.name = "kernel",
                                     .rank = 2,
                                     .shape = {layer_features(in), dense->units},
                                     .initializer = &dense->kernel_initializer};
    return true;
}

static enum rnn_status dense_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err)
{
    const struct dense *dense = layer->own;
    (void)in, (void)sequences;
    if (layer_set_features(out, dense->units))
        return RNN_OK;
    return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
}

static enum rnn_status dense_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                   struct rnn_error *err)
{
    (void)in;
    struct dense *dense = layer->own;
    enum rnn_status status = packed_init(&dense->kernel, tensors[0], layer->input_size, dense->units, 0, 1,
                                         dense->units, layer->vec->lanes, layer->format, err);
    if (status)
        return status;
    dense->start = packed_row(&dense->kernel, dense->use_bias ? tensors[1] : NULL);
    return dense->start ? RNN_OK : rnn_fail(err, RNN_ENOMEM, "out of memory for %zu units", dense->units);
}

static bool dense_scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    const struct dense *dense = layer->own;
    (void)rows;
    return rnn_size_mul(packed_columns(&dense->kernel), CHUNK * sizeof(float), bytes) &&
           rnn_size_add(*bytes, RNN_ALIGNMENT, bytes);
}

static bool dense_run(const struct layer *layer, struct layer_run *run)
{
    const struct dense *dense = layer->own;
    size_t columns = packed_columns(&dense->kernel), units = dense->units;
    const float *x = run->in[0][0].at;
    float *out = run->out[0].at;
    arena_reset(run->arena);
    float *z = arena_alloc(run->arena, CHUNK * columns, sizeof *z);
    for (size_t left = run->vectors; left;) {
        size_t n = left < CHUNK ? left : CHUNK;
        layer->vec->product(&dense->kernel, vec_all(&dense->kernel), n, x, layer->input_size, dense->start, 0, z);
        for (size_t i = 0; i < n; i++, out += units) {
            memcpy(out, z + i * columns, units * sizeof *out);
            vec_activate(layer->vec, &dense->activation, units, out);
        }
        x += n * layer->input_size;
        left -= n;
    }
    return true;
}

static void dense_defaults(void *own)
{
    struct dense *dense = own;
    dense->use_bias = true;
    dense->kernel_initializer = initializer_find("glorot_uniform")->initializer;
    dense->bias_initializer = initializer_find("zeros")->initializer;
}

static void dense_close(void *own)
{
    struct dense *dense = own;
    packed_close(&dense->kernel);
    free(dense->start);
}

static size_t dense_bytes(const struct layer *layer)
{
    const struct dense *dense = layer->own;
    return packed_bytes(&dense->kernel) + (dense->start ? packed_columns(&dense->kernel) * sizeof(float) : 0);
}

static const struct activation *dense_activation(const struct layer *layer)
{
    const struct dense *dense = layer->own;
    return &dense->activation;
}

const struct layer_class layer_dense = {
    .size = sizeof(struct dense),
    .defaults = dense_defaults,
    .close = dense_close,
    .bytes = dense_bytes,
    .activation = dense_activation,
    .masks = MASKS_PASS,
    .pointwise = true,
    .tensor = dense_tensor,
    .shape = dense_shape,
    .build = dense_build,
    .scratch = dense_scratch,
    .run = dense_run,
};
