/* GroupNormalization: channels in groups, each normalized over all other axes. Source:
   keras/layers/normalization/group_normalization.py; Wu and He, "Group Normalization", 2018. */
#include "group_normalization.h"

#include "core/normalize.h"

#include <stdlib.h>
#include <string.h>

/* channels: the tensor with the axis of channels selected. groups: this axis is split into two, the groups and the
   channels of a group; all axes except the groups are selected. Returns RNN_ESHAPE if the number of channels is not a
   multiple of the number of groups. */
static enum rnn_status tensors_of(const struct layer *layer, const struct layer_shape *in, struct axes_tensor *channels,
                                  struct axes_tensor *groups, struct rnn_error *err)
{
    const struct group_normalization *own = layer->own;
    enum rnn_status status = axes_of(layer, &own->common.axes, in, channels, err);
    if (status || (status = axes_check_weights(layer, in, channels, err)))
        return status;
    size_t all = axes_numbers(channels), n = own->groups ? own->groups : all;
    if (all && (n > all || all % n))
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s): %zu channels cannot be divided into %zu groups of equal size", layer->name,
                        layer->class_name, all, n);
    *groups = (struct axes_tensor){0};
    for (size_t i = 0; i < channels->n; i++) {
        if (channels->on[i])
            groups->sizes[groups->n++] = n;
        groups->on[groups->n] = true;
        groups->sizes[groups->n++] = channels->on[i] && n ? all / n : channels->sizes[i];
    }
    return RNN_OK;
}

static bool group_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    return layer_layer_norm.tensor(layer, in, i, out);
}

static enum rnn_status group_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err)
{
    struct axes_tensor channels, groups;
    (void)sequences, (void)out;
    return tensors_of(layer, in, &channels, &groups, err);
}

static bool group_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    struct axes_tensor channels, groups;
    if (tensors_of(layer, in, &channels, &groups, NULL))
        return false;
    aux->once = axes_numbers(&groups);
    return true;
}

static void normalize_group(const struct layer *layer, size_t n, float *x)
{
    const struct group_normalization *own = layer->own;
    layer_normalize(n, x, NULL, NULL, own->common.epsilon);
}

static void scale_and_shift(const struct layer *layer, size_t n, const float *x, float *out, size_t w, size_t step)
{
    const struct group_normalization *own = layer->own;
    const float *gamma = own->common.weights + w, *beta = gamma + own->common.n;
    for (size_t i = 0; i < n; i++)
        out[i] = (float)((double)x[i] * (double)gamma[i * step] + (double)beta[i * step]);
}

static bool group_run(const struct layer *layer, struct layer_run *run)
{
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        struct axes_tensor channels, groups;
        float *out = run->out[b].at;
        shape.timesteps = run->in[0][b].timesteps;
        if (tensors_of(layer, &shape, &channels, &groups, NULL))
            continue; /* no timesteps */
        axes_for_groups(layer, &groups, run->in[0][b].at, out, run->aux, normalize_group);
        axes_for_weights(layer, &channels, out, out, scale_and_shift);
    }
    return true;
}

static void group_defaults(void *own)
{
    layer_layer_norm.defaults(own);
    ((struct group_normalization *)own)->groups = 32;
}

static enum rnn_status group_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                   struct rnn_error *err)
{
    struct axes_tensor channels, groups;
    enum rnn_status status = tensors_of(layer, in, &channels, &groups, err);
    return status ? status : layer_layer_norm.build(layer, in, tensors, err);
}

static void group_close(void *own)
{
    layer_layer_norm.close(own);
}

static size_t group_bytes(const struct layer *layer)
{
    return layer_layer_norm.bytes(layer);
}

const struct layer_class layer_group_norm = {
    .size = sizeof(struct group_normalization),
    .defaults = group_defaults,
    .close = group_close,
    .bytes = group_bytes,
    .masks = MASKS_PASS,
    .tensor = group_tensor,
    .shape = group_shape,
    .build = group_build,
    .aux = group_aux,
    .run = group_run,
};
