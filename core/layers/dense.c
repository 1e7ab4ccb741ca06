/* Dense, and TimeDistributed(Dense), which is the same: activation(x K + b) on the last axis. Source:
   keras/layers/core/dense.py. */
#include "dense.h"

#include <stdlib.h>
#include <string.h>

enum {
    CHUNK = 32,  /* vectors of one product */
    BLOCK = 1024 /* inputs of one sum: a Flatten of a long sequence has hundreds of thousands of inputs, and the
                    rounding error of one float32 sum would be ten times that of a sum of partial sums */
};

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
    return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": too many numbers", layer->name);
}

static enum rnn_status dense_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                   struct rnn_error *err)
{
    (void)in;
    struct dense *dense = layer->own;
    size_t depth = layer->input_size;
    /* a column of int8 has one scale */
    size_t n = layer->format == PACKED_INT8 || depth <= BLOCK ? 1 : (depth + BLOCK - 1) / BLOCK;
    size_t most = n == 1 ? depth : BLOCK;
    dense->kernels = calloc(n, sizeof *dense->kernels);
    if (!dense->kernels)
        return rnn_fail(err, RNN_ENOMEM, "out of memory for %zu units", dense->units);
    for (dense->n_kernels = 0; dense->n_kernels < n; dense->n_kernels++) {
        size_t first = dense->n_kernels * most;
        enum rnn_status status = packed_init(&dense->kernels[dense->n_kernels], tensors[0] + first * dense->units,
                                             depth - first < most ? depth - first : most, dense->units, 0, 1,
                                             dense->units, layer->vec->lanes, layer->format, err);
        if (status)
            return status;
    }
    dense->start = packed_row(&dense->kernels[0], dense->use_bias ? tensors[1] : NULL);
    dense->zeros = n > 1 ? packed_row(&dense->kernels[0], NULL) : NULL;
    return dense->start && (n == 1 || dense->zeros)
               ? RNN_OK
               : rnn_fail(err, RNN_ENOMEM, "out of memory for %zu units", dense->units);
}

static bool dense_scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    const struct dense *dense = layer->own;
    (void)rows;
    return rnn_size_mul(packed_columns(&dense->kernels[0]), (dense->n_kernels > 1 ? 2 : 1) * CHUNK * sizeof(float),
                        bytes) &&
           rnn_size_add(*bytes, 2 * RNN_ALIGNMENT, bytes);
}

/* z [n][columns] = x K + b. part [n][columns] is work space for the sums of a block. */
static void multiply(const struct layer *layer, size_t n, const float *x, float *z, float *part)
{
    const struct dense *dense = layer->own;
    size_t columns = packed_columns(&dense->kernels[0]);
    for (size_t b = 0, first = 0; b < dense->n_kernels; b++) {
        const struct packed *kernel = &dense->kernels[b];
        layer->vec->product(kernel, vec_all(kernel), n, x + first, layer->input_size, b ? dense->zeros : dense->start,
                            0, b ? part : z);
        for (size_t i = 0; b && i < n * columns; i++)
            z[i] += part[i];
        first += kernel->depth;
    }
}

static bool dense_run(const struct layer *layer, struct layer_run *run)
{
    const struct dense *dense = layer->own;
    size_t columns = packed_columns(&dense->kernels[0]), units = dense->units;
    const float *x = run->in[0][0].at;
    float *out = run->out[0].at;
    arena_reset(run->arena);
    float *z = arena_alloc(run->arena, CHUNK * columns, sizeof *z);
    float *part = dense->n_kernels > 1 ? arena_alloc(run->arena, CHUNK * columns, sizeof *part) : NULL;
    for (size_t left = run->vectors; left;) {
        size_t n = left < CHUNK ? left : CHUNK;
        multiply(layer, n, x, z, part);
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
    for (size_t i = 0; i < dense->n_kernels; i++)
        packed_close(&dense->kernels[i]);
    free(dense->kernels);
    free(dense->start);
    free(dense->zeros);
}

static size_t dense_bytes(const struct layer *layer)
{
    const struct dense *dense = layer->own;
    size_t bytes = dense->n_kernels ? packed_columns(&dense->kernels[0]) * sizeof(float) : 0;
    for (size_t i = 0; i < dense->n_kernels; i++)
        bytes += packed_bytes(&dense->kernels[i]);
    return bytes;
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
