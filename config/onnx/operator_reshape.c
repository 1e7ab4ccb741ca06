/* Reshape, Flatten and Expand. If the new axes consist of whole old axes, or of parts of one, no numbers move. */
#include "operator_reshape.h"

#include "core/layers/get_item.h"

#include <string.h>

/* The atoms of the input in the order of its axes, without atoms of size 1. */
struct sequence {
    size_t n;
    signed char atoms[ONNX_MAX_ATOMS];
};

static void sequence_of(const struct onnx_tensor *tensor, bool batch, struct sequence *out)
{
    out->n = 0;
    for (size_t i = 0; i < tensor->rank; i++)
        for (size_t k = 0; k < tensor->axes[i].n && out->n < ONNX_MAX_ATOMS; k++) {
            signed char atom = tensor->axes[i].atoms[k];
            if (atom == ONNX_OF_BATCH ? batch : !onnx_is_whole(tensor->atoms[(size_t)atom], 1))
                out->atoms[out->n++] = atom;
        }
}

static void shift(signed char *atoms, size_t n, signed char above)
{
    for (size_t i = 0; i < n; i++)
        atoms[i] = (signed char)(atoms[i] + (atoms[i] > above));
}

/* Split an atom into two; the first has this size. */
static bool split(struct onnx_tensor *tensor, struct sequence *left, signed char atom, struct onnx_number first,
                  struct onnx_number second)
{
    size_t at = (size_t)atom;
    if (tensor->n_atoms == ONNX_MAX_ATOMS || left->n == ONNX_MAX_ATOMS)
        return false;
    memmove(&tensor->atoms[at + 1], &tensor->atoms[at], (tensor->n_atoms - at) * sizeof *tensor->atoms);
    tensor->n_atoms++;
    tensor->atoms[at] = first;
    tensor->atoms[at + 1] = second;
    shift(left->atoms, left->n, atom);
    for (size_t i = 0; i < tensor->rank; i++)
        shift(tensor->axes[i].atoms, tensor->axes[i].n, atom);
    memmove(&left->atoms[1], left->atoms, left->n);
    left->atoms[0] = (signed char)(atom + 1);
    left->n++;
    return true;
}

/* Fill one axis of the result, tensor->axes[tensor->rank], with the next atoms. */
static bool fill_axis(struct onnx_tensor *tensor, struct sequence *left, struct onnx_number need)
{
    struct onnx_axis *axis = &tensor->axes[tensor->rank++];
    struct onnx_number rest, more;
    *axis = (struct onnx_axis){.n = 0};
    while (!onnx_is_whole(need, 1)) {
        if (!left->n || axis->n == ONNX_MAX_ATOMS)
            return false;
        signed char atom = left->atoms[0];
        struct onnx_number size = atom == ONNX_OF_BATCH ? onnx_symbol(ONNX_BATCH) : tensor->atoms[(size_t)atom];
        memmove(left->atoms, &left->atoms[1], --left->n);
        axis->atoms[axis->n++] = atom;
        if (onnx_divide(need, size, &rest)) {
            need = rest;
            continue;
        }
        return atom != ONNX_OF_BATCH && onnx_divide(size, need, &more) && split(tensor, left, atom, need, more);
    }
    return true;
}

/* Give a tensor axes of these sizes. Returns false if they cannot be made of its atoms. batch: the batch is one of the
   factors. */
static bool align(const struct onnx_tensor *in, size_t n, const struct onnx_number *sizes, bool batch,
                  struct onnx_tensor *out)
{
    struct sequence left;
    *out = *in;
    out->layer = GRAPH_NONE;
    sequence_of(in, batch, &left);
    out->rank = 0;
    for (size_t i = 0; i < n; i++)
        if (!fill_axis(out, &left, sizes[i]))
            return false;
    return !left.n;
}

/* Make all numbers of a row one axis, after the batch. */
static bool flat(const struct onnx_call *call, struct onnx_tensor *tensor)
{
    struct onnx_batch batch = onnx_batch_of(tensor);
    struct onnx_axis all = {.n = 0};
    struct onnx_number size;
    if (batch.axis != SIZE_MAX && batch.axis)
        return false;
    for (size_t i = 0; i < tensor->rank; i++)
        for (size_t k = 0; k < tensor->axes[i].n && all.n < ONNX_MAX_ATOMS; k++)
            if (tensor->axes[i].atoms[k] != ONNX_OF_BATCH)
                all.atoms[all.n++] = tensor->axes[i].atoms[k];
    size_t value = onnx_axis_size(tensor, &all, &size) ? onnx_arrange(call, tensor, 1, &all) : GRAPH_NONE;
    batch.merged = false;
    if (value != GRAPH_NONE)
        *tensor = onnx_tensor_of(value, 1, &size, batch);
    return value != GRAPH_NONE;
}

/* Replace the sizes 0 and -1. */
static bool resolve(const struct onnx_call *call, const struct onnx_tensor *in, bool batch, size_t n,
                    struct onnx_number *sizes)
{
    struct onnx_number total = onnx_whole(1), known = onnx_whole(1), size;
    size_t open = n;
    for (size_t i = 0; i < in->rank; i++)
        if (!onnx_axis_size(in, &in->axes[i], &size) || !onnx_multiply(total, size, &total))
            return false;
    if (!batch)
        onnx_divide(total, onnx_symbol(ONNX_BATCH), &total);
    for (size_t i = 0; i < n; i++) {
        if (onnx_is_whole(sizes[i], 0) && !onnx_int(call, "allowzero", 0) && i < in->rank &&
            !onnx_axis_size(in, &in->axes[i], &sizes[i]))
            return false;
        if (!batch)
            onnx_divide(sizes[i], onnx_symbol(ONNX_BATCH), &sizes[i]);
        if (onnx_is_whole(sizes[i], -1))
            open = i;
        else if (!onnx_multiply(known, sizes[i], &known))
            return false;
    }
    return open == n ? onnx_same(total, known) : onnx_divide(total, known, &sizes[open]);
}

/* In a model with a fixed batch of 1, any axis of size 1 can be the batch; its previous position is tried first. */
static void place_batch(const struct onnx_call *call, const struct onnx_tensor *in, struct onnx_tensor *out)
{
    struct onnx_batch batch = onnx_batch_of(in);
    if (batch.axis != SIZE_MAX && onnx_batch_at(call, out, batch.axis))
        return;
    for (size_t i = 0; i < out->rank; i++)
        if (onnx_batch_at(call, out, i))
            return;
}

static bool try_sizes(const struct onnx_call *call, const struct onnx_tensor *in, size_t n,
                      const struct onnx_number *asked, struct onnx_tensor *out)
{
    bool batch = call->c->batch != 1 && onnx_batch_of(in).axis != SIZE_MAX;
    struct onnx_number sizes[ONNX_MAX_RANK];
    memcpy(sizes, asked, n * sizeof *sizes);
    if (!resolve(call, in, batch, n, sizes))
        return false;
    struct onnx_tensor from = *in;
    if (!align(&from, n, sizes, batch, out) && (!flat(call, &from) || !align(&from, n, sizes, batch, out)))
        return false;
    if (!batch)
        place_batch(call, in, out);
    return true;
}

/* In a model with a fixed batch, this size may mean the batch. */
static bool reshape(struct onnx_call *call, const struct onnx_tensor *in, size_t n, struct onnx_number *sizes)
{
    struct onnx_tensor out;
    bool says = call->c->batch <= 1;
    for (size_t i = 0; i < n; i++)
        says |= onnx_has_symbol(sizes[i], ONNX_BATCH) || (onnx_is_whole(sizes[i], 0) && onnx_batch_of(in).axis == i);
    for (size_t i = 0; i < n && !says; i++) {
        if (!onnx_is_whole(sizes[i], call->c->batch))
            continue;
        sizes[i] = onnx_symbol(ONNX_BATCH);
        if (try_sizes(call, in, n, sizes, &out))
            return onnx_give(call, &out);
        sizes[i] = onnx_whole(call->c->batch);
    }
    return try_sizes(call, in, n, sizes, &out)
               ? onnx_give(call, &out)
               : onnx_refuse(call, "gives a shape that mixes the batch, or open timesteps, with other axes; export the "
                                   "model with a dynamic batch and fixed timesteps");
}

/* Read the new shape: an operand, or an attribute before opset 5. */
static bool asked_shape(const struct onnx_call *call, size_t *n, struct onnx_number *sizes)
{
    const struct onnx_constant *shape = onnx_constant(call, 1);
    long list[ONNX_MAX_RANK];
    if (!onnx_given(call, 1)) {
        if (!onnx_ints(call, "shape", SIZE_MAX, ONNX_MAX_RANK, list, n))
            return false;
        for (size_t i = 0; i < *n; i++)
            sizes[i] = onnx_whole(list[i]);
        return true;
    }
    if (!shape || !shape->whole || !onnx_elements(shape, n) || *n > ONNX_MAX_RANK)
        return onnx_refuse(call, "is served with a shape of at most %d axes that is known when the model is loaded",
                           ONNX_MAX_RANK);
    for (size_t i = 0; i < *n; i++)
        sizes[i] = shape->wholes[shape->uniform ? 0 : i];
    return true;
}

bool onnx_read_reshape(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    struct onnx_number sizes[ONNX_MAX_RANK];
    size_t n;
    return in && asked_shape(call, &n, sizes) && reshape(call, in, n, sizes);
}

bool onnx_read_flatten(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    struct onnx_number sizes[2] = {onnx_whole(1), onnx_whole(1)}, size;
    size_t axis;
    if (!in || !onnx_axis(call, onnx_int(call, "axis", 1), in->rank + 1, &axis))
        return false;
    for (size_t i = 0; i < in->rank; i++)
        if (!onnx_axis_size(in, &in->axes[i], &size) || !onnx_multiply(sizes[i >= axis], size, &sizes[i >= axis]))
            return onnx_refuse(call, "gives too many numbers");
    return reshape(call, in, 2, sizes);
}

/* Repeat an axis of size 1. The tensor's axes are in order. */
static bool repeat(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis, struct onnx_number times)
{
    size_t place = onnx_place(tensor, axis);
    struct layer *layer = NULL;
    if (!onnx_known(times) || times.value < 1)
        return onnx_refuse(call,
                           "repeats its input as often as there are timesteps; export the model with their number "
                           "fixed");
    layer = onnx_layer(call, &layer_get_item, "Expand");
    if (!layer)
        return false;
    struct get_item *own = layer->own;
    own->batch = true;
    own->n = own->n_first = place + 2;
    own->picks[place + 1] = (struct pick){.how = PICK_TILE, .times = (size_t)times.value};
    tensor->sizes[place] = times;
    *tensor = onnx_tensor_of(onnx_node(call, &tensor->value, 1), tensor->n_sizes, tensor->sizes, onnx_batch_of(tensor));
    return tensor->value != GRAPH_NONE;
}

bool onnx_read_expand(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    struct onnx_number asked[ONNX_MAX_RANK], size;
    size_t n;
    if (!in || !asked_shape(call, &n, asked))
        return false;
    struct onnx_tensor out = *in;
    if (n > out.rank) {
        memmove(&out.axes[n - out.rank], out.axes, out.rank * sizeof *out.axes);
        memset(out.axes, 0, (n - out.rank) * sizeof *out.axes);
        out.rank = n;
    }
    for (size_t i = 0; i < n; i++) {
        size_t axis = out.rank - n + i;
        if (!onnx_axis_size(&out, &out.axes[axis], &size))
            return false;
        bool batch = onnx_batch_of(&out).axis == axis;
        if (onnx_is_whole(asked[i], 1) || onnx_same(asked[i], size) ||
            (batch && onnx_is_whole(asked[i], call->c->batch)))
            continue;
        if (batch || !onnx_is_whole(size, 1) || onnx_has_symbol(asked[i], ONNX_BATCH))
            return onnx_refuse(call, "gives a shape that its input cannot take");
        if (!onnx_order(call, &out) || !repeat(call, &out, axis, asked[i]))
            return false;
    }
    return onnx_give(call, &out);
}
