/* Whole vectors are copied to other places. Source: keras/layers/reshaping/. */
#include "resize.h"

#include <string.h>

/* [length 0][length 1][channels] of a row. */
struct planes {
    size_t lengths[2], channels;
};

static bool planes_of(const struct resize *own, const struct layer_shape *shape, struct planes *out)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(shape, axes);
    if (n != own->rank + 1)
        return false;
    *out = (struct planes){{own->rank == 2 ? axes[0] : 1, axes[n - 2]}, axes[n - 1]};
    return true;
}

enum kind { PAD, CROP, REPEAT };

/* The new length of an axis. Returns false if nothing is left, or if the length is too large. Open lengths stay
   open. */
static bool new_length(const struct resize *own, enum kind kind, size_t axis, size_t length, size_t *out)
{
    size_t more;
    *out = 0;
    if (!length)
        return true;
    if (!rnn_size_add(own->before[axis], own->after[axis], &more))
        return false;
    if (kind == REPEAT)
        return rnn_size_mul(length, own->times[axis], out);
    if (kind == PAD)
        return rnn_size_add(length, more, out);
    *out = length > more ? length - more : 0;
    return *out > 0;
}

static enum rnn_status resize_shape(const struct layer *layer, enum kind kind, const struct layer_shape *in,
                                    struct layer_shape *out, struct rnn_error *err)
{
    const struct resize *own = layer->own;
    size_t axes[LAYER_MAX_AXES], n = layer_axes(in, axes);
    struct planes planes;
    if (!planes_of(own, in, &planes))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) takes a tensor of %zu axes after the batch", layer->name,
                        layer->class_name, own->rank + 1);
    for (size_t i = 2 - own->rank; i < 2; i++)
        if (!new_length(own, kind, i, planes.lengths[i], &axes[n - 3 + i]))
            return rnn_fail(err, RNN_ESHAPE,
                            "layer \"%s\" (%s): an axis of %zu elements would become empty or too large", layer->name,
                            layer->class_name, planes.lengths[i]);
    if (!layer_shape_of(n, axes, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

static enum rnn_status pad_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                 struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences;
    return resize_shape(layer, PAD, in, out, err);
}

static enum rnn_status crop_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                  struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences;
    return resize_shape(layer, CROP, in, out, err);
}

static enum rnn_status repeat_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                    struct layer_shape *out, struct rnn_error *err)
{
    (void)sequences;
    return resize_shape(layer, REPEAT, in, out, err);
}

/* The position in the input of the vector at position i of the output. Returns false for zeros. */
static bool source(const struct resize *own, enum kind kind, size_t axis, size_t length, size_t i, size_t *from)
{
    *from = kind == REPEAT ? i / own->times[axis] : kind == CROP ? i + own->before[axis] : i - own->before[axis];
    return kind != PAD || (i >= own->before[axis] && *from < length);
}

static void resize_row(const struct resize *own, enum kind kind, const struct planes *in, const float *x, float *out)
{
    size_t lengths[2], from[2], channels = in->channels;
    for (size_t i = 0; i < 2; i++) {
        lengths[i] = in->lengths[i];
        if (i >= 2 - own->rank)
            new_length(own, kind, i, in->lengths[i], &lengths[i]);
    }
    for (size_t i = 0; i < lengths[0]; i++)
        for (size_t j = 0; j < lengths[1]; j++, out += channels) {
            from[0] = i;
            bool inside = own->rank == 1 || source(own, kind, 0, in->lengths[0], i, &from[0]);
            if (source(own, kind, 1, in->lengths[1], j, &from[1]) && inside)
                memcpy(out, x + (from[0] * in->lengths[1] + from[1]) * channels, channels * sizeof *out);
            else
                memset(out, 0, channels * sizeof *out);
        }
}

static bool resize_run(const struct layer *layer, enum kind kind, struct layer_run *run)
{
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        struct planes planes = {.channels = 0};
        shape.timesteps = run->in[0][b].timesteps;
        planes_of(layer->own, &shape, &planes);
        resize_row(layer->own, kind, &planes, run->in[0][b].at, run->out[b].at);
    }
    return true;
}

static bool pad_run(const struct layer *layer, struct layer_run *run)
{
    return resize_run(layer, PAD, run);
}

static bool crop_run(const struct layer *layer, struct layer_run *run)
{
    return resize_run(layer, CROP, run);
}

static bool repeat_run(const struct layer *layer, struct layer_run *run)
{
    return resize_run(layer, REPEAT, run);
}

static void resize_defaults(void *own)
{
    struct resize *resize = own;
    resize->rank = 1;
    resize->times[0] = resize->times[1] = 1;
}

/* ---- Permute ---- */

static enum rnn_status permute_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                     struct layer_shape *out, struct rnn_error *err)
{
    const struct permute *own = layer->own;
    size_t axes[LAYER_MAX_AXES], to[LAYER_MAX_AXES], n = layer_axes(in, axes);
    (void)sequences;
    if (n != own->n)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) permutes %zu axes, but its input has %zu", layer->name,
                        layer->class_name, own->n, n);
    for (size_t i = 0; i < n; i++)
        to[i] = axes[own->order[i]];
    if (!layer_shape_of(n, to, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

static void permute_row(const struct permute *own, const size_t *axes, const float *x, float *out)
{
    size_t strides[LAYER_MAX_AXES] = {0}, index[LAYER_MAX_AXES] = {0}, stride = 1, at = 0;
    for (size_t i = own->n; i-- > 0; stride *= axes[i])
        strides[i] = stride;
    for (size_t e = 0; e < stride; e++) {
        out[e] = x[at];
        for (size_t i = own->n; i-- > 0;) {
            size_t from = own->order[i];
            at += strides[from];
            if (++index[i] < axes[from])
                break;
            at -= strides[from] * axes[from];
            index[i] = 0;
        }
    }
}

static bool permute_run(const struct layer *layer, struct layer_run *run)
{
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        size_t axes[LAYER_MAX_AXES];
        shape.timesteps = run->in[0][b].timesteps;
        layer_axes(&shape, axes);
        permute_row(layer->own, axes, run->in[0][b].at, run->out[b].at);
    }
    return true;
}

const struct layer_class layer_pad = {.size = sizeof(struct resize),
                                      .masks = MASKS_STOP,
                                      .defaults = resize_defaults,
                                      .shape = pad_shape,
                                      .run = pad_run};
const struct layer_class layer_crop = {.size = sizeof(struct resize),
                                       .masks = MASKS_STOP,
                                       .defaults = resize_defaults,
                                       .shape = crop_shape,
                                       .run = crop_run};
const struct layer_class layer_repeat_steps = {.size = sizeof(struct resize),
                                               .masks = MASKS_STOP,
                                               .defaults = resize_defaults,
                                               .shape = repeat_shape,
                                               .run = repeat_run};
const struct layer_class layer_permute = {
    .size = sizeof(struct permute), .masks = MASKS_STOP, .shape = permute_shape, .run = permute_run};
