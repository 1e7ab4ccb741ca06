/* BatchNormalization (at inference: a scale and a shift of each feature) LayerNormalization and RMSNormalization. Source:
   keras/layers/normalization/{batch,layer}_normalization.py; Ioffe and Szegedy, "Batch Normalization", 2015. */
#include "normalization.h"

#include "core/normalize.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* gamma where scale, beta where center; of a BatchNormalization also the moving mean and variance. With several axes,
   the weights of Keras's BatchNormalization have an axis for each axis of the input, also for the batch. */
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
    struct axes_tensor tensor;
    axes_of(layer, &own->axes, in, &tensor, NULL); /* while tensors are counted, the input shape is unknown */
    for (size_t k = 0; k < 4; k++) {
        if (!all[k].has || i--)
            continue;
        *out = (struct layer_tensor){.frozen = k > 1, .initializer = all[k].initializer};
        bool ones = moving && own->axes.n > 1;
        if (ones)
            out->shape[out->rank++] = 1;
        axes_weight_shape(&tensor, ones, out);
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

static enum rnn_status make_room(struct layer *layer, const struct layer_shape *in, struct rnn_error *err)
{
    struct normalization *own = layer->own;
    struct axes_tensor tensor;
    size_t floats;
    enum rnn_status status = axes_of(layer, &own->axes, in, &tensor, err);
    if (status || (status = axes_check_weights(layer, in, &tensor, err)))
        return status;
    own->n = axes_numbers(&tensor);
    if (rnn_size_mul(own->n, 2, &floats))
        own->weights = rnn_alloc(floats, sizeof *own->weights);
    return own->weights ? RNN_OK : rnn_fail(err, RNN_ENOMEM, "out of memory for %zu features", own->n);
}

/* With several axes, the weights have one axis more than the input: that may be too many. */
static enum rnn_status batch_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err)
{
    const struct normalization *own = layer->own;
    size_t axes[LAYER_MAX_AXES];
    if (own->axes.n > 1 && layer_axes(in, axes) + 1 > LAYER_MAX_DIMS)
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s): with several axes, the input may have up to %d axes; merge axes with a "
                        "Reshape",
                        layer->name, layer->class_name, LAYER_MAX_DIMS - 1);
    return axes_weights_shape(layer, in, sequences, out, err);
}

/* scale = gamma / sqrt(variance + epsilon), shift = beta - mean scale */
static enum rnn_status batch_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                   struct rnn_error *err)
{
    struct normalization *own = layer->own;
    enum rnn_status status = make_room(layer, in, err);
    if (status)
        return status;
    const float *gamma = own->scale ? *tensors++ : NULL, *beta = own->center ? *tensors++ : NULL;
    const float *mean = tensors[0], *variance = tensors[1];
    for (size_t i = 0; i < own->n; i++) {
        double scale = (gamma ? (double)gamma[i] : 1) / sqrt((double)variance[i] + own->epsilon);
        own->weights[i] = (float)scale;
        own->weights[own->n + i] = (float)((beta ? (double)beta[i] : 0) - (double)mean[i] * scale);
    }
    return RNN_OK;
}

static void scale_and_shift(const struct layer *layer, size_t n, const float *x, float *out, size_t w, size_t step)
{
    const struct normalization *own = layer->own;
    const float *scale = own->weights + w, *shift = scale + own->n;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((double)x[i] * (double)scale[i * step] + (double)shift[i * step]);
}

static bool batch_run(const struct layer *layer, struct layer_run *run)
{
    return axes_run_weights(layer, run, scale_and_shift);
}

/* gamma then beta; ones and zeros if the layer does not have them */
static enum rnn_status layer_norm_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                        struct rnn_error *err)
{
    struct normalization *own = layer->own;
    enum rnn_status status = make_room(layer, in, err);
    if (status)
        return status;
    const float *gamma = own->scale ? *tensors++ : NULL, *beta = own->center ? *tensors : NULL;
    for (size_t i = 0; i < own->n; i++) {
        own->weights[i] = gamma ? gamma[i] : 1;
        own->weights[own->n + i] = beta ? beta[i] : 0;
    }
    return RNN_OK;
}

static void normalize_group(const struct layer *layer, size_t n, float *x)
{
    const struct normalization *own = layer->own;
    layer_normalize(n, x, own->weights, own->weights + n, own->epsilon);
}

static bool layer_norm_run(const struct layer *layer, struct layer_run *run)
{
    return axes_run_groups(layer, run, normalize_group);
}

/* RMSNormalization calls gamma "scale". */
static bool rms_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    bool has = tensor_of(layer, in, i, false, out);
    memcpy(out->name, "scale", sizeof "scale");
    return has;
}

static void divide_by_root_mean_square(const struct layer *layer, size_t n, float *x)
{
    const struct normalization *own = layer->own;
    double squares = 0;
    for (size_t i = 0; i < n; i++)
        squares += (double)x[i] * (double)x[i];
    double scale = 1 / sqrt(squares / (double)n + own->epsilon);
    for (size_t i = 0; i < n; i++)
        x[i] = (float)((double)x[i] * scale * (double)own->weights[i]);
}

static bool rms_run(const struct layer *layer, struct layer_run *run)
{
    return axes_run_groups(layer, run, divide_by_root_mean_square);
}

static void normalization_defaults(void *own)
{
    struct normalization *normalization = own;
    normalization->axes = axes_last;
    normalization->center = normalization->scale = true;
    normalization->epsilon = 1e-3;
    normalization->gamma_initializer = normalization->variance_initializer = initializer_find("ones")->initializer;
    normalization->beta_initializer = normalization->mean_initializer = initializer_find("zeros")->initializer;
}

static void rms_defaults(void *own)
{
    struct normalization *normalization = own;
    normalization_defaults(own);
    normalization->center = false;
    normalization->epsilon = 1e-6;
}

static void normalization_close(void *own)
{
    struct normalization *normalization = own;
    free(normalization->weights);
}

static size_t normalization_bytes(const struct layer *layer)
{
    const struct normalization *own = layer->own;
    return 2 * own->n * sizeof(float);
}

const struct layer_class layer_batch_norm = {
    .size = sizeof(struct normalization),
    .defaults = normalization_defaults,
    .close = normalization_close,
    .bytes = normalization_bytes,
    .masks = MASKS_PASS,
    .time = axes_time,
    .shape = batch_shape,
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
    .time = axes_time,
    .shape = axes_weights_shape,
    .aux = axes_aux,
    .tensor = layer_norm_tensor,
    .build = layer_norm_build,
    .run = layer_norm_run,
};

const struct layer_class layer_rms_norm = {
    .size = sizeof(struct normalization),
    .defaults = rms_defaults,
    .close = normalization_close,
    .bytes = normalization_bytes,
    .masks = MASKS_PASS,
    .time = axes_time,
    .shape = axes_weights_shape,
    .aux = axes_aux,
    .tensor = rms_tensor,
    .build = layer_norm_build,
    .run = rms_run,
};
