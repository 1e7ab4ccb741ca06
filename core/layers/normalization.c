/* BatchNormalization (at inference: a scale and a shift of each feature) and LayerNormalization. Source:
   keras/layers/normalization/{batch,layer}_normalization.py; Ioffe and Szegedy, "Batch Normalization", 2015. */
#include "normalization.h"

#include "core/normalize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* gamma where scale, beta where center; of a BatchNormalization also the moving mean and variance. */
static bool tensor_of(const struct layer *layer, const struct layer_shape *in, size_t i, bool moving,
                      struct layer_tensor *out)
{
    const struct normalization *own = layer->own;
    const struct {
        const char *name;
        bool has;
        const struct initializer *initializer;
    } all[] = {{"gamma", own->scale, &own->gamma_initializer},
               {"beta", own->center, &own->beta_initializer},
               {"moving_mean", moving, &own->mean_initializer},
               {"moving_variance", moving, &own->variance_initializer}};
    for (size_t k = 0; k < 4; k++) {
        if (!all[k].has || i--)
            continue;
        *out = (struct layer_tensor){
            .rank = 1, .shape = {layer_features(in)}, .frozen = k > 1, .initializer = all[k].initializer};
        memcpy(out->name, all[k].name, strlen(all[k].name) + 1);
        return true;
    }
    return false;
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
    struct normalization *own = layer->own;
    size_t floats;
    if (rnn_size_mul(layer->input_size, 2, &floats))
        own->weights = rnn_alloc(floats, sizeof *own->weights);
    return own->weights ? RNN_OK : rnn_fail(err, RNN_ENOMEM, "out of memory for %zu features", layer->input_size);
}

/* scale = gamma / sqrt(variance + epsilon), shift = beta - mean scale */
static enum rnn_status batch_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                   struct rnn_error *err)
{
    struct normalization *own = layer->own;
    size_t n = layer->input_size;
    enum rnn_status status = make_room(layer, err);
    (void)in;
    if (status)
        return status;
    const float *gamma = own->scale ? *tensors++ : NULL, *beta = own->center ? *tensors++ : NULL;
    const float *mean = tensors[0], *variance = tensors[1];
    for (size_t i = 0; i < n; i++) {
        double scale = (gamma ? (double)gamma[i] : 1) / sqrt((double)variance[i] + own->epsilon);
        own->weights[i] = (float)scale;
        own->weights[n + i] = (float)((beta ? (double)beta[i] : 0) - (double)mean[i] * scale);
    }
    return RNN_OK;
}

static bool batch_run(const struct layer *layer, struct layer_run *run)
{
    const struct normalization *own = layer->own;
    size_t n = layer->input_size;
    const float *x = run->in[0][0].at, *scale = own->weights, *shift = scale + n;
    float *out = run->out[0].at;
    for (size_t i = 0; i < run->vectors; i++, x += n, out += n)
        for (size_t f = 0; f < n; f++)
            out[f] = (float)((double)x[f] * (double)scale[f] + (double)shift[f]);
    return true;
}

/* gamma then beta; ones and zeros where the layer has none */
static enum rnn_status layer_norm_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                        struct rnn_error *err)
{
    struct normalization *own = layer->own;
    size_t n = layer->input_size;
    enum rnn_status status = make_room(layer, err);
    (void)in;
    if (status)
        return status;
    const float *gamma = own->scale ? *tensors++ : NULL, *beta = own->center ? *tensors : NULL;
    for (size_t i = 0; i < n; i++) {
        own->weights[i] = gamma ? gamma[i] : 1;
        own->weights[n + i] = beta ? beta[i] : 0;
    }
    return RNN_OK;
}

static bool layer_norm_run(const struct layer *layer, struct layer_run *run)
{
    const struct normalization *own = layer->own;
    size_t n = layer->input_size;
    float *out = run->out[0].at;
    memcpy(out, run->in[0][0].at, run->vectors * n * sizeof *out);
    for (size_t i = 0; i < run->vectors; i++)
        layer_normalize(n, out + i * n, own->weights, own->weights + n, own->epsilon);
    return true;
}

static void normalization_defaults(void *own)
{
    struct normalization *normalization = own;
    normalization->center = normalization->scale = true;
    normalization->epsilon = 1e-3;
    normalization->gamma_initializer = normalization->variance_initializer = initializer_find("ones")->initializer;
    normalization->beta_initializer = normalization->mean_initializer = initializer_find("zeros")->initializer;
}

static void normalization_close(void *own)
{
    struct normalization *normalization = own;
    free(normalization->weights);
}

static size_t normalization_bytes(const struct layer *layer)
{
    return 2 * layer->input_size * sizeof(float);
}

const struct layer_class layer_batch_norm = {
    .size = sizeof(struct normalization),
    .defaults = normalization_defaults,
    .close = normalization_close,
    .bytes = normalization_bytes,
    .masks = MASKS_PASS,
    .pointwise = true,
    .tensor = batch_tensor,
    .build = batch_build,
    .run = batch_run,
};

const struct layer_class layer_layer_norm = {
    .size = sizeof(struct normalization),
    .defaults = normalization_defaults,
    .close = normalization_close,
    .bytes = normalization_bytes,
    .masks = MASKS_PASS,
    .pointwise = true,
    .tensor = layer_norm_tensor,
    .build = layer_norm_build,
    .run = layer_norm_run,
};
