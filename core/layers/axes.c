/* Axes of a tensor: groups of numbers along some axes, and weights along some axes. */
#include "axes.h"

#include <string.h>

const struct axes axes_last = {.n = 1, .at = {-1}};

enum rnn_status axes_of(const struct layer *layer, const struct axes *axes, const struct layer_shape *in,
                        struct axes_tensor *out, struct rnn_error *err)
{
    *out = (struct axes_tensor){0};
    out->n = layer_axes(in, out->sizes);
    long n = (long)out->n, first = layer->only_sequences; /* a layer inside a TimeDistributed gets single timesteps */
    for (size_t i = 0; i < axes->n; i++) {
        long at = axes->at[i] < 0 ? n + axes->at[i] : axes->at[i] - 1 + first;
        if (at < first || at >= n || out->on[at])
            return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): its input has no axis %ld%s; its axes are 1 to %ld",
                            layer->name, layer->class_name, axes->at[i],
                            at >= first && at < n ? " besides the one that axis names already" : "", n - first);
        out->on[at] = true;
    }
    return RNN_OK;
}

size_t axes_numbers(const struct axes_tensor *tensor)
{
    size_t numbers = 1;
    for (size_t i = 0; i < tensor->n; i++)
        numbers *= tensor->on[i] ? tensor->sizes[i] : 1;
    return numbers;
}

bool axes_have_time(const struct layer_shape *in, const struct axes_tensor *tensor)
{
    return in->sequence && tensor->on[0];
}

enum rnn_status axes_check_weights(const struct layer *layer, const struct layer_shape *in,
                                   const struct axes_tensor *tensor, struct rnn_error *err)
{
    if (!axes_have_time(in, tensor))
        return RNN_OK;
    if (!in->timesteps)
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s) has weights for each timestep, so that the model needs an input with a "
                        "fixed number of timesteps",
                        layer->name, layer->class_name);
    if (layer->built && in->timesteps != layer->input.timesteps)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) has weights for %zu timesteps, found %zu", layer->name,
                        layer->class_name, layer->input.timesteps, in->timesteps);
    return RNN_OK;
}

void axes_weight_shape(const struct axes_tensor *tensor, bool ones, struct layer_tensor *out)
{
    for (size_t i = 0; i < tensor->n; i++)
        if ((tensor->on[i] || ones) && out->rank < LAYER_MAX_DIMS)
            out->shape[out->rank++] = tensor->on[i] ? tensor->sizes[i] : 1;
}

/* ---- where numbers lie ---- */

/* Some axes of a tensor. Neighbouring axes that are contiguous in memory are merged. There is at least one axis. */
struct part {
    size_t n, sizes[LAYER_MAX_AXES + 1], strides[LAYER_MAX_AXES + 1];
};

static struct part part_of(const struct axes_tensor *tensor, bool on)
{
    struct part part = {.n = 1, .sizes = {1}, .strides = {1}};
    size_t strides[LAYER_MAX_AXES + 1], stride = 1;
    bool none = true;
    for (size_t i = tensor->n; i-- > 0; stride *= tensor->sizes[i])
        strides[i] = stride;
    for (size_t i = 0; i < tensor->n; i++) {
        if (tensor->on[i] != on)
            continue;
        if (!none && part.strides[part.n - 1] == tensor->sizes[i] * strides[i]) {
            part.sizes[part.n - 1] *= tensor->sizes[i];
            part.strides[part.n - 1] = strides[i];
            continue;
        }
        part.n += !none;
        none = false;
        part.sizes[part.n - 1] = tensor->sizes[i];
        part.strides[part.n - 1] = strides[i];
    }
    return part;
}

static size_t product(size_t n, const size_t *sizes)
{
    size_t all = 1;
    for (size_t i = 0; i < n; i++)
        all *= sizes[i];
    return all;
}

/* The place of the i-th combination of the first n axes of a part. */
static size_t offset(const struct part *part, size_t n, size_t i)
{
    size_t at = 0;
    while (n-- > 0) {
        at += i % part->sizes[n] * part->strides[n];
        i /= part->sizes[n];
    }
    return at;
}

/* The numbers of a group are not contiguous; in `packed` they are. */
static void gather(const struct part *part, const float *x, float *packed)
{
    size_t last = part->n - 1, runs = product(last, part->sizes), stride = part->strides[last];
    for (size_t i = 0; i < runs; i++) {
        const float *from = x + offset(part, last, i);
        for (size_t k = 0; k < part->sizes[last]; k++)
            *packed++ = from[k * stride];
    }
}

static void scatter(const struct part *part, const float *packed, float *out)
{
    size_t last = part->n - 1, runs = product(last, part->sizes), stride = part->strides[last];
    for (size_t i = 0; i < runs; i++) {
        float *to = out + offset(part, last, i);
        for (size_t k = 0; k < part->sizes[last]; k++)
            to[k * stride] = *packed++;
    }
}

void axes_gather(const struct axes_tensor *tensor, size_t group, const float *x, float *packed)
{
    struct part on = part_of(tensor, true), off = part_of(tensor, false);
    gather(&on, x + offset(&off, off.n, group), packed);
}

void axes_scatter(const struct axes_tensor *tensor, size_t group, const float *packed, float *out)
{
    struct part on = part_of(tensor, true), off = part_of(tensor, false);
    scatter(&on, packed, out + offset(&off, off.n, group));
}

void axes_for_groups(const struct layer *layer, const struct axes_tensor *tensor, const float *x, float *out,
                     float *space, axes_group *group)
{
    struct part on = part_of(tensor, true), off = part_of(tensor, false);
    size_t groups = product(off.n, off.sizes), numbers = product(on.n, on.sizes);
    bool whole = on.n == 1 && on.strides[0] == 1;
    for (size_t g = 0; g < groups; g++) {
        size_t at = offset(&off, off.n, g);
        float *packed = whole ? out + at : space;
        if (whole && packed != x + at)
            memcpy(packed, x + at, numbers * sizeof *out);
        else if (!whole)
            gather(&on, x + at, packed);
        group(layer, numbers, packed);
        if (!whole)
            scatter(&on, packed, out + at);
    }
}

/* Neighbouring axes that are both on, or both off, are merged. A stride is the stride of the weights, 0 if the weights
   do not differ along the axis. */
void axes_for_weights(const struct layer *layer, const struct axes_tensor *tensor, const float *x, float *out,
                      axes_weighted *weighted)
{
    struct part part = {.n = 1, .sizes = {1}, .strides = {0}};
    for (size_t i = 0; i < tensor->n; i++) {
        if (i && tensor->on[i] == tensor->on[i - 1]) {
            part.sizes[part.n - 1] *= tensor->sizes[i];
            continue;
        }
        part.n += i > 0;
        part.sizes[part.n - 1] = tensor->sizes[i];
        part.strides[part.n - 1] = tensor->on[i];
    }
    size_t last = part.n - 1, length = part.sizes[last], runs = product(last, part.sizes), stride = 1;
    for (size_t i = part.n; i-- > 0;)
        if (part.strides[i]) {
            part.strides[i] = stride;
            stride *= part.sizes[i];
        }
    for (size_t i = 0; i < runs; i++, x += length, out += length)
        weighted(layer, length, x, out, offset(&part, last, i), part.strides[last]);
}

/* ---- functions of classes ---- */

enum rnn_status axes_groups_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                  struct layer_shape *out, struct rnn_error *err)
{
    struct axes_tensor tensor;
    (void)sequences, (void)out;
    return axes_of(layer, layer->own, in, &tensor, err);
}

enum rnn_status axes_weights_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err)
{
    struct axes_tensor tensor;
    (void)sequences, (void)out;
    enum rnn_status status = axes_of(layer, layer->own, in, &tensor, err);
    return status ? status : axes_check_weights(layer, in, &tensor, err);
}

enum layer_time axes_time(const struct layer *layer)
{
    struct axes_tensor tensor;
    return axes_of(layer, layer->own, &layer->input, &tensor, NULL) || axes_have_time(&layer->input, &tensor)
               ? TIME_WHOLE
               : TIME_POINTWISE;
}

bool axes_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    struct axes_tensor tensor;
    if (axes_of(layer, layer->own, in, &tensor, NULL))
        return false;
    aux->once = axes_numbers(&tensor);
    return true;
}

bool axes_run_groups(const struct layer *layer, struct layer_run *run, axes_group *group)
{
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        struct axes_tensor tensor;
        shape.timesteps = run->in[0][b].timesteps;
        axes_of(layer, layer->own, &shape, &tensor, NULL);
        axes_for_groups(layer, &tensor, run->in[0][b].at, run->out[b].at, run->aux, group);
    }
    return true;
}

bool axes_run_weights(const struct layer *layer, struct layer_run *run, axes_weighted *weighted)
{
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        struct axes_tensor tensor;
        shape.timesteps = run->in[0][b].timesteps;
        axes_of(layer, layer->own, &shape, &tensor, NULL);
        axes_for_weights(layer, &tensor, run->in[0][b].at, run->out[b].at, weighted);
    }
    return true;
}
