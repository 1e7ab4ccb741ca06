/* Axes of MultiHeadAttention. Source: keras/layers/attention/multi_head_attention.py, _build_attention_equation. */
#include "multi_head_shape.h"

/* Select the position axes of input i; *positions is the number of positions. */
static enum rnn_status find_positions(const struct layer *layer, const struct layer_shape *in, size_t i,
                                      struct axes_tensor *out, size_t *positions, struct rnn_error *err)
{
    const struct multi_head_attention *own = layer->own;
    enum rnn_status status = axes_of(layer, &own->axes, in, out, err);
    if (status)
        return status;
    if (out->n < 2 || out->on[out->n - 1])
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s): input %zu is not a sequence of vectors along attention_axes", layer->name,
                        layer->class_name, i);
    for (size_t k = 0; k + 1 < out->n; k++)
        out->on[k] |= !own->axes.n;
    *positions = axes_numbers(out);
    out->on[out->n - 1] = true;
    return RNN_OK;
}

static bool may_be_equal(size_t a, size_t b)
{
    return a == b || !a || !b;
}

/* Whether all axes except the features have equal sizes; with free_axes_alone only the free axes. */
static bool fit(const struct axes_tensor *a, const struct axes_tensor *b, bool free_axes_alone)
{
    bool good = a->n == b->n;
    for (size_t i = 0; good && i + 1 < a->n; i++)
        good = (free_axes_alone && a->on[i]) || may_be_equal(a->sizes[i], b->sizes[i]);
    return good;
}

/* The axes of the weights. */
static void find_axes(const struct multi_head_attention *own, struct mha_geometry *g)
{
    const struct axes_tensor *query = &g->tensors[0], *value = &g->tensors[1];
    g->n_axes = 0;
    for (size_t i = 0; i + 1 < query->n; i++)
        if (!query->on[i])
            g->axes[g->n_axes++] = query->sizes[i];
    g->n_free = g->n_axes;
    g->axes[g->n_axes++] = own->heads;
    for (size_t i = 0; i + 1 < query->n; i++)
        if (query->on[i])
            g->axes[g->n_axes++] = query->sizes[i];
    for (size_t i = 0; i + 1 < value->n; i++)
        if (value->on[i])
            g->axes[g->n_axes++] = value->sizes[i];
}

/* If the mask has fewer axes than the weights, axes of size 1 are inserted before the axes of positions, as in Keras's
   Softmax. */
static bool find_mask_axes(const struct layer_shape *mask, struct mha_geometry *g)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(mask, axes), positions = g->n_axes - g->n_free - 1;
    if (n < positions || n > g->n_axes)
        return false;
    for (size_t i = 0, from = 0; i < g->n_axes; i++) {
        bool given = i < n - positions || i >= g->n_axes - positions;
        g->mask_axes[i] = given ? axes[from++] : 1;
        if (g->mask_axes[i] != 1 && !may_be_equal(g->mask_axes[i], g->axes[i]))
            return false;
    }
    /* The mask must be broadcast along all position axes of the query or along none, because its stride is one number.
       The same holds for the value. */
    for (size_t side = 0; side < 2; side++) {
        size_t first = g->n_free + 1 + side * positions / 2, ones = 0, wide = 0;
        for (size_t i = first; i < first + positions / 2; i++) {
            ones += g->mask_axes[i] == 1 && g->axes[i] != 1;
            wide += g->mask_axes[i] != 1;
        }
        if (ones && wide)
            return false;
    }
    return true;
}

enum rnn_status mha_geometry_of(const struct layer *layer, const struct layer_shape *in, size_t n_inputs,
                                struct mha_geometry *out, struct rnn_error *err)
{
    const struct multi_head_attention *own = layer->own;
    size_t positions[3];
    *out = (struct mha_geometry){.groups = 1};
    if (n_inputs < 2)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) takes a query and a value", layer->name, layer->class_name);
    for (size_t i = 0; i < 3; i++) {
        size_t from = i < n_inputs ? i : 1;
        enum rnn_status status = find_positions(layer, &in[from], from, &out->tensors[i], &positions[i], err);
        if (status)
            return status;
    }
    if (!fit(&out->tensors[0], &out->tensors[1], true))
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s): query and value differ in an axis that is not in attention_axes",
                        layer->name, layer->class_name);
    if (!fit(&out->tensors[1], &out->tensors[2], false))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): the value has %zu timesteps, the key %zu", layer->name,
                        layer->class_name, positions[1], positions[2]);
    out->queries = positions[0];
    out->keys = positions[1];
    find_axes(own, out);
    for (size_t i = 0; i < out->n_free; i++)
        out->groups *= out->axes[i];
    out->timesteps = out->tensors[0].on[0] && out->n_axes == 3;
    if ((own->causal || own->window) && !(out->timesteps || (out->tensors[0].on[0] && out->n_axes - out->n_free == 3)))
        return rnn_fail(
            err, RNN_ESHAPE,
            "layer \"%s\" (%s): use_causal_mask and sliding_window are supported only if attention_axes is the "
            "axis of timesteps alone (axis 1)",
            layer->name, layer->class_name);
    if (n_inputs > 3 && !find_mask_axes(&in[3], out))
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s): the attention_mask does not fit the scores; expected [query's "
                        "timesteps, value's timesteps]",
                        layer->name, layer->class_name);
    return RNN_OK;
}

struct mha_mask mha_mask_of(const struct mha_geometry *geometry, size_t group, const float *mask)
{
    const size_t *axes = geometry->mask_axes;
    size_t stride = 1, positions = (geometry->n_axes - geometry->n_free - 1) / 2, first = geometry->n_free + 1;
    struct mha_mask out = {.at = mask};
    for (size_t side = 2; side-- > 0;) {
        size_t wide = 1;
        for (size_t i = 0; i < positions; i++)
            wide *= axes[first + side * positions + i];
        *(side ? &out.key : &out.query) = wide > 1 ? stride : 0;
        stride *= wide;
    }
    out.head = axes[geometry->n_free] > 1 ? stride : 0;
    stride *= axes[geometry->n_free];
    for (size_t i = geometry->n_free; i-- > 0;) {
        out.at += axes[i] > 1 ? group % geometry->axes[i] * stride : 0;
        group /= geometry->axes[i];
        stride *= axes[i];
    }
    return out;
}
