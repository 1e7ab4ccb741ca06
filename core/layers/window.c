/* Windows: positions, padding, and shapes of outputs. */
#include "window.h"

void window_defaults(struct window *window)
{
    for (size_t i = 0; i < 2; i++)
        window->size[i] = window->strides[i] = window->dilation[i] = 1;
}

/* The number of elements from the first to the last element of a window. */
static size_t extent(const struct window *window, size_t axis)
{
    return (window->size[axis] - 1) * window->dilation[axis] + 1;
}

size_t window_places(const struct window *window, size_t axis, size_t length)
{
    size_t covered = extent(window, axis), stride = window->strides[axis];
    if (!length)
        return 0;
    if (window->padding == WINDOW_GIVEN)
        length += window->before[axis] + window->after[axis];
    else if (window->padding != WINDOW_VALID)
        return (length - 1) / stride + 1;
    return length < covered ? 0 : (length - covered) / stride + 1;
}

size_t window_before(const struct window *window, size_t axis, size_t length)
{
    size_t covered = extent(window, axis);
    if (window->padding == WINDOW_VALID)
        return 0;
    if (window->padding == WINDOW_GIVEN)
        return window->before[axis];
    if (window->padding == WINDOW_CAUSAL)
        return covered - 1;
    size_t reached = (window_places(window, axis, length) - 1) * window->strides[axis] + covered;
    return reached > length ? (reached - length) / 2 : 0;
}

bool window_input_of(const struct window *window, const struct layer_shape *shape, struct window_input *out)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(shape, axes);
    if (n < window->rank + 1)
        return false;
    *out = (struct window_input){1, {1, axes[n - 2]}, axes[n - 1]};
    if (window->rank == 2)
        out->lengths[0] = axes[n - 3];
    for (size_t i = 0; i + window->rank + 1 < n; i++)
        out->outer *= axes[i];
    return true;
}

enum rnn_status window_shape(const struct layer *layer, const struct window *window, const struct layer_shape *in,
                             size_t channels, struct layer_shape *out, struct rnn_error *err)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(in, axes);
    struct window_input input;
    if (!window_input_of(window, in, &input))
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s) takes a tensor of at least %zu axes after the batch, the "
                        "last of which are the channels",
                        layer->name, layer->class_name, window->rank + 1);
    for (size_t i = 2 - window->rank; i < 2; i++) {
        size_t places = window_places(window, i, input.lengths[i]), at = n - 3 + i;
        if (axes[at] && !places)
            return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): %zu %s are fewer than its window covers", layer->name,
                            layer->class_name, axes[at], at ? "elements of an axis" : "timesteps");
        axes[at] = places;
    }
    axes[n - 1] = channels;
    if (!layer_shape_of(n, axes, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}
