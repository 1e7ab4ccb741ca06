/* Gather and Pad. Source: onnx/docs/Operators.md. */
#include "gather.h"

#include <stdlib.h>
#include <string.h>

/* The number of output elements for an axis of `size` elements. Returns 0 if the list has an index out of range, or if
   there are too few elements to mirror. */
static size_t count_of(const struct gather *own, size_t size)
{
    size_t most = own->before > own->after ? own->before : own->after, count;
    for (size_t i = 0; i < own->n; i++)
        if (own->list[i] >= (long)size || own->list[i] < -(long)size)
            return 0;
    if (own->how == GATHER_LIST)
        return own->n;
    if (!size || (own->how == GATHER_REFLECT && most >= size))
        return 0;
    return rnn_size_add(size, own->before, &count) && rnn_size_add(count, own->after, &count) ? count : 0;
}

/* The input element for output element j; `size` stands for the constant. */
static size_t source(const struct gather *own, size_t size, size_t j)
{
    if (own->how == GATHER_LIST)
        return own->list[j] < 0 ? size - (size_t)-own->list[j] : (size_t)own->list[j];
    if (j >= own->before && j - own->before < size)
        return j - own->before;
    bool first = j < own->before;
    size_t away = first ? own->before - j : j - own->before - (size - 1);
    if (own->how == GATHER_REFLECT)
        return first ? away : size - 1 - away;
    return own->how == GATHER_CONSTANT ? size : first ? 0 : size - 1;
}

static enum rnn_status gather_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                    struct layer_shape *out, struct rnn_error *err)
{
    const struct gather *own = layer->own;
    size_t axes[LAYER_MAX_AXES], n = layer_axes(in, axes);
    (void)sequences;
    if (own->axis >= n)
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s): there is no axis %zu; its input has %zu axes after the batch", layer->name,
                        layer->class_name, own->axis, n);
    size_t count = count_of(own, axes[own->axis]);
    if (axes[own->axis] && !count)
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s): an axis of %zu elements has too few for its indices or padding",
                        layer->name, layer->class_name, axes[own->axis]);
    if (axes[own->axis] || own->how == GATHER_LIST)
        axes[own->axis] = own->how == GATHER_LIST ? own->n : count;
    return layer_shape_of(n, axes, out)
               ? RNN_OK
               : rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
}

/* An element is a block of `inner` numbers. `outer` times, take `count` elements out of `size`. */
static void gather_row(const struct gather *own, size_t outer, size_t size, size_t inner, const float *x, float *out)
{
    size_t count = count_of(own, size);
    for (size_t o = 0; o < outer; o++, x += size * inner)
        for (size_t j = 0; j < count; j++, out += inner) {
            size_t from = source(own, size, j);
            if (from < size)
                memcpy(out, x + from * inner, inner * sizeof *out);
            for (size_t i = 0; from == size && i < inner; i++)
                out[i] = own->value;
        }
}

static bool gather_run(const struct layer *layer, struct layer_run *run)
{
    const struct gather *own = layer->own;
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        size_t axes[LAYER_MAX_AXES], outer = 1, inner = 1;
        shape.timesteps = run->in[0][b].timesteps;
        size_t n = layer_axes(&shape, axes);
        for (size_t i = 0; i < own->axis; i++)
            outer *= axes[i];
        for (size_t i = own->axis + 1; i < n; i++)
            inner *= axes[i];
        gather_row(own, outer, axes[own->axis], inner, run->in[0][b].at, run->out[b].at);
    }
    return true;
}

/* An axis after the timesteps is inside one timestep. */
static enum layer_time gather_time(const struct layer *layer)
{
    const struct gather *own = layer->own;
    return !layer->input.sequence || own->axis ? TIME_POINTWISE : TIME_WHOLE;
}

static void gather_close(void *own)
{
    free(((struct gather *)own)->list);
}

const struct layer_class layer_gather = {.size = sizeof(struct gather),
                                         .masks = MASKS_STOP,
                                         .close = gather_close,
                                         .time = gather_time,
                                         .shape = gather_shape,
                                         .run = gather_run};
