/* BatchNormalization (at inference: a scale and a shift of each feature) and LayerNormalization. Source:
   keras/layers/normalization/{batch,layer}_normalization.py; Ioffe and Szegedy, "Batch Normalization", 2015. */
#include "core/layers/layer.h"

#include "core/normalize.h"

#include <math.h>
#include <string.h>

/* gamma where scale, beta where center; of a BatchNormalization also the moving mean and variance. */
static bool tensor_of(const struct layer *layer, const struct layer_shape *in, size_t i, bool moving,
                      struct layer_tensor *out)
{
    const char *names[4];
    size_t n = 0;
    if (layer->scale)
        names[n++] = "gamma";
    if (layer->center)
        names[n++] = "beta";
    if (moving) {
        names[n++] = "moving_mean";
        names[n++] = "moving_variance";
    }
    if (i >= n)
        return false;
    bool ones = !strcmp(names[i], "gamma") || !strcmp(names[i], "moving_variance");
    *out = (struct layer_tensor){.rank = 1,
                                 .shape = {in->width, 0},
                                 .initializer = ones ? &layer->first_initializer : &layer->second_initializer};
    memcpy(out->name, names[i], strlen(names[i]) + 1);
    return true;
}

static bool batch_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    return tensor_of(layer, in, i, true, out);
}

static bool layer_norm_tensor(const struct layer *layer, const struct layer_shape *in, size_t i,
                              struct layer_tensor *out)
{
    return tensor_of(layer, in, i, false, out);
}

static enum rnn_status make_room(struct layer *layer, struct rnn_error *err)
{
    size_t floats;
    if (rnn_size_mul(layer->input_size, 2, &floats))
        layer->weights = rnn_alloc(floats, sizeof *layer->weights);
    return layer->weights ? RNN_OK : rnn_fail(err, RNN_ENOMEM, "out of memory for %zu features", layer->input_size);
}

/* scale = gamma / sqrt(variance + epsilon), shift = beta - mean scale */
static enum rnn_status batch_build(struct layer *layer, const float *const *tensors, struct rnn_error *err)
{
    size_t n = layer->input_size;
    enum rnn_status status = make_room(layer, err);
    if (status)
        return status;
    const float *gamma = layer->scale ? *tensors++ : NULL, *beta = layer->center ? *tensors++ : NULL;
    const float *mean = tensors[0], *variance = tensors[1];
    for (size_t i = 0; i < n; i++) {
        double scale = (gamma ? (double)gamma[i] : 1) / sqrt((double)variance[i] + layer->epsilon);
        layer->weights[i] = (float)scale;
        layer->weights[n + i] = (float)((beta ? (double)beta[i] : 0) - (double)mean[i] * scale);
    }
    return RNN_OK;
}

static bool batch_run(const struct layer *layer, struct layer_run *run)
{
    size_t n = layer->input_size;
    const float *x = run->rows[0].inputs, *scale = layer->weights, *shift = scale + n;
    float *out = run->rows[0].outputs;
    for (size_t i = 0; i < run->vectors; i++, x += n, out += n)
        for (size_t f = 0; f < n; f++)
            out[f] = (float)((double)x[f] * (double)scale[f] + (double)shift[f]);
    return true;
}

/* gamma then beta; ones and zeros where the layer has none */
static enum rnn_status layer_norm_build(struct layer *layer, const float *const *tensors, struct rnn_error *err)
{
    size_t n = layer->input_size;
    enum rnn_status status = make_room(layer, err);
    if (status)
        return status;
    const float *gamma = layer->scale ? *tensors++ : NULL, *beta = layer->center ? *tensors : NULL;
    for (size_t i = 0; i < n; i++) {
        layer->weights[i] = gamma ? gamma[i] : 1;
        layer->weights[n + i] = beta ? beta[i] : 0;
    }
    return RNN_OK;
}

static bool layer_norm_run(const struct layer *layer, struct layer_run *run)
{
    size_t n = layer->input_size;
    float *out = run->rows[0].outputs;
    memcpy(out, run->rows[0].inputs, run->vectors * n * sizeof *out);
    for (size_t i = 0; i < run->vectors; i++)
        layer_normalize(n, out + i * n, layer->weights, layer->weights + n, layer->epsilon);
    return true;
}

const struct layer_class layer_batch_norm = {
    .masks = MASKS_PASS,
    .pointwise = true,
    .tensor = batch_tensor,
    .build = batch_build,
    .run = batch_run,
};

const struct layer_class layer_layer_norm = {
    .masks = MASKS_PASS,
    .pointwise = true,
    .tensor = layer_norm_tensor,
    .build = layer_norm_build,
    .run = layer_norm_run,
};
