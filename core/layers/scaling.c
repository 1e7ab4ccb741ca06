/* Normalization by a mean and a variance from the configuration or from training data, and Rescaling. Source:
   keras/layers/preprocessing/normalization.py; Rescaling: image_preprocessing.py, in Keras 3 rescaling.py. */
#include "scaling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* keras.backend.epsilon(): the smallest standard deviation. */
static const double least_deviation = 1e-7;

/* The weights from training: mean, variance, and count. Inference does not use count. In Keras 2 it is an integer, and the
   reader of checkpoints gives no integers. */
static bool learned_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    static const char *const names[] = {"mean", "variance", "count"};
    const struct scaling *own = layer->own;
    struct axes_tensor tensor;
    if (own->mean.n || i >= 3)
        return false;
    axes_of(layer, &own->axes, in, &tensor, NULL); /* while tensors are counted, the input shape is unknown */
    *out = (struct layer_tensor){.frozen = true,
                                 .optional = i == 2,
                                 .initializer = i == 1 ? &own->variance_initializer : &own->mean_initializer};
    memcpy(out->name, names[i], strlen(names[i]) + 1);
    if (i < 2)
        axes_weight_shape(&tensor, false, out);
    return true;
}

/* Whether the configured numbers fit: they are repeated along the axes before the last ones. */
static bool fits(const struct scaling_numbers *numbers, const struct axes_tensor *tensor)
{
    size_t along = 1;
    bool good = numbers->n <= 1;
    for (size_t i = tensor->n; i-- > 0;) {
        along *= tensor->on[i] ? tensor->sizes[i] : 1;
        good |= along == numbers->n;
    }
    return good;
}

static enum rnn_status scaling_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                     struct rnn_error *err)
{
    struct scaling *own = layer->own;
    struct axes_tensor tensor;
    size_t numbers;
    bool rescale = layer->class == &layer_rescale, given = own->mean.n;
    enum rnn_status status = axes_of(layer, &own->axes, in, &tensor, err);
    if (status || (status = axes_check_weights(layer, in, &tensor, err)))
        return status;
    own->n = axes_numbers(&tensor);
    if (!fits(&own->mean, &tensor) || !fits(&own->variance, &tensor))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): expected one number, or %zu along the axis", layer->name,
                        layer->class_name, own->n);
    if (rnn_size_mul(own->n, 2, &numbers))
        own->weights = rnn_alloc(numbers, sizeof *own->weights);
    if (!own->weights)
        return rnn_fail(err, RNN_ENOMEM, "out of memory for %zu numbers", own->n);
    for (size_t i = 0; i < own->n; i++) {
        double mean = given ? own->mean.at[i % own->mean.n] : (double)tensors[0][i];
        double variance = given ? own->variance.at[i % own->variance.n] : (double)tensors[1][i];
        double deviation = sqrt(variance);
        own->weights[i] = mean;
        own->weights[own->n + i] = rescale ? variance : deviation < least_deviation ? least_deviation : deviation;
    }
    return RNN_OK;
}

static void by_deviation(const struct layer *layer, size_t n, const float *x, float *out, size_t w, size_t step)
{
    const struct scaling *own = layer->own;
    const double *mean = own->weights + w, *deviation = mean + own->n;
    for (size_t i = 0; i < n; i++) {
        double m = mean[i * step], d = deviation[i * step];
        out[i] = (float)(own->invert ? m + (double)x[i] * d : ((double)x[i] - m) / d);
    }
}

static void by_scale(const struct layer *layer, size_t n, const float *x, float *out, size_t w, size_t step)
{
    const struct scaling *own = layer->own;
    const double *offset = own->weights + w, *scale = offset + own->n;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((double)x[i] * scale[i * step] + offset[i * step]);
}

static bool normalization_run(const struct layer *layer, struct layer_run *run)
{
    return axes_run_weights(layer, run, by_deviation);
}

static bool rescaling_run(const struct layer *layer, struct layer_run *run)
{
    return axes_run_weights(layer, run, by_scale);
}

static void scaling_defaults(void *own)
{
    struct scaling *scaling = own;
    scaling->axes = axes_last;
    scaling->mean_initializer = initializer_find("zeros")->initializer;
    scaling->variance_initializer = initializer_find("ones")->initializer;
}

static void scaling_close(void *own)
{
    struct scaling *scaling = own;
    free(scaling->mean.at);
    free(scaling->variance.at);
    free(scaling->weights);
}

static size_t scaling_bytes(const struct layer *layer)
{
    const struct scaling *own = layer->own;
    return 2 * own->n * sizeof *own->weights;
}

const struct layer_class layer_scale = {
    .size = sizeof(struct scaling),
    .defaults = scaling_defaults,
    .close = scaling_close,
    .bytes = scaling_bytes,
    .masks = MASKS_PASS,
    .numbers = true,
    .time = axes_time,
    .tensor = learned_tensor,
    .shape = axes_weights_shape,
    .build = scaling_build,
    .run = normalization_run,
};

const struct layer_class layer_rescale = {
    .size = sizeof(struct scaling),
    .defaults = scaling_defaults,
    .close = scaling_close,
    .bytes = scaling_bytes,
    .masks = MASKS_PASS,
    .numbers = true,
    .time = axes_time,
    .shape = axes_weights_shape,
    .build = scaling_build,
    .run = rescaling_run,
};
