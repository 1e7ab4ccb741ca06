/* PReLU: negative numbers are multiplied by a trained slope. Source: keras/layers/activation/prelu.py. */
#include "prelu.h"

#include <stdlib.h>
#include <string.h>

/* Select the axes along which slopes differ. */
static enum rnn_status slopes_of(const struct layer *layer, const struct layer_shape *in, struct axes_tensor *out,
                                 struct rnn_error *err)
{
    const struct prelu *own = layer->own;
    enum rnn_status status = axes_of(layer, &own->shared, in, out, err);
    for (size_t i = 0; i < out->n; i++)
        out->on[i] = !out->on[i];
    if (!status && out->n > LAYER_MAX_DIMS)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) supports inputs of up to %d axes", layer->name,
                        layer->class_name, LAYER_MAX_DIMS);
    return status ? status : axes_check_weights(layer, in, out, err);
}

static bool prelu_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    const struct prelu *own = layer->own;
    struct axes_tensor slopes;
    if (i)
        return false;
    slopes_of(layer, in, &slopes, NULL);
    *out = (struct layer_tensor){.name = "alpha", .initializer = &own->initializer};
    axes_weight_shape(&slopes, true, out);
    return true;
}

static enum rnn_status prelu_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err)
{
    struct axes_tensor slopes;
    (void)sequences, (void)out;
    return slopes_of(layer, in, &slopes, err);
}

static enum rnn_status prelu_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                   struct rnn_error *err)
{
    struct prelu *own = layer->own;
    struct axes_tensor slopes;
    enum rnn_status status = slopes_of(layer, in, &slopes, err);
    if (status)
        return status;
    own->n = axes_numbers(&slopes);
    own->slopes = rnn_alloc(own->n, sizeof *own->slopes);
    if (!own->slopes)
        return rnn_fail(err, RNN_ENOMEM, "out of memory for %zu slopes", own->n);
    memcpy(own->slopes, tensors[0], own->n * sizeof *own->slopes);
    return RNN_OK;
}

/* NaN stays NaN. */
static void bend(const struct layer *layer, size_t n, const float *x, float *out, size_t w, size_t step)
{
    const struct prelu *own = layer->own;
    const float *slopes = own->slopes + w;
    for (size_t i = 0; i < n; i++)
        out[i] = x[i] < 0 ? x[i] * slopes[i * step] : x[i];
}

static bool prelu_run(const struct layer *layer, struct layer_run *run)
{
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        struct axes_tensor slopes;
        shape.timesteps = run->in[0][b].timesteps;
        if (!slopes_of(layer, &shape, &slopes, NULL))
            axes_for_weights(layer, &slopes, run->in[0][b].at, run->out[b].at, bend);
    }
    return true;
}

static enum layer_time prelu_time(const struct layer *layer)
{
    struct axes_tensor slopes;
    return slopes_of(layer, &layer->input, &slopes, NULL) || axes_have_time(&layer->input, &slopes) ? TIME_WHOLE
                                                                                                    : TIME_POINTWISE;
}

static void prelu_defaults(void *own)
{
    ((struct prelu *)own)->initializer = initializer_find("zeros")->initializer;
}

static void prelu_close(void *own)
{
    free(((struct prelu *)own)->slopes);
}

static size_t prelu_bytes(const struct layer *layer)
{
    return ((const struct prelu *)layer->own)->n * sizeof(float);
}

const struct layer_class layer_prelu = {
    .size = sizeof(struct prelu),
    .defaults = prelu_defaults,
    .close = prelu_close,
    .bytes = prelu_bytes,
    .masks = MASKS_PASS,
    .time = prelu_time,
    .tensor = prelu_tensor,
    .shape = prelu_shape,
    .build = prelu_build,
    .run = prelu_run,
};
