/* Arranges the numbers of a value as a node needs them: by reshapes, which cost nothing, and by permutations. */
#include "call.h"

#include "core/layers/reshape.h"
#include "core/layers/resize.h"

#include <stdint.h>
#include <string.h>

static bool same_sizes(size_t n, const struct onnx_number *a, size_t m, const struct onnx_number *b)
{
    bool same = n == m;
    for (size_t i = 0; same && i < n; i++)
        same = onnx_same(a[i], b[i]);
    return same;
}

static size_t open_axis(const struct onnx_call *call)
{
    onnx_refuse(call,
                "needs its input's open size (the number of timesteps) behind another axis; export the model with "
                "that size fixed");
    return GRAPH_NONE;
}

/* Reshape a value to other axes; only the first axis may be open. If the first axis does not change, it stays open, so
   that it remains the axis of timesteps. */
static size_t reshape(const struct onnx_call *call, size_t value, struct onnx_number first, size_t n,
                      const struct onnx_number *sizes)
{
    struct reshape own = {.rank = n};
    bool stays = n > 1 && onnx_same(first, sizes[0]);
    for (size_t i = 0; i < n; i++) {
        if (i && !onnx_known(sizes[i]))
            return open_axis(call);
        own.target[i] = onnx_known(sizes[i]) && (i || !stays) ? (size_t)sizes[i].value : SIZE_MAX;
    }
    struct layer *layer = onnx_layer(call, &layer_reshape, "Reshape");
    if (!layer)
        return GRAPH_NONE;
    *(struct reshape *)layer->own = own;
    return onnx_node(call, &value, 1);
}

/* The order of the atoms of these axes, without atoms of size 1. */
struct order {
    size_t n, atoms[ONNX_MAX_ATOMS];
};

static bool is_one(const struct onnx_tensor *tensor, size_t atom)
{
    return onnx_is_whole(tensor->atoms[atom], 1);
}

static void add_atoms(const struct onnx_tensor *tensor, const struct onnx_axis *axis, struct order *order)
{
    for (size_t i = 0; i < axis->n; i++)
        if (axis->atoms[i] != ONNX_OF_BATCH && !is_one(tensor, (size_t)axis->atoms[i]) && order->n < ONNX_MAX_ATOMS)
            order->atoms[order->n++] = (size_t)axis->atoms[i];
}

/* Whether the wanted atoms are all atoms of the tensor. */
static bool is_complete(const struct onnx_tensor *tensor, const struct order *order)
{
    size_t n = 0;
    for (size_t i = 0; i < tensor->n_atoms; i++)
        n += !is_one(tensor, i);
    return n == order->n;
}

/* Atoms that stay neighbours in the same order move as one axis. */
static size_t join_neighbours(const struct order *order, const struct onnx_tensor *tensor, struct onnx_number *sizes,
                              struct permute *out)
{
    size_t begins[ONNX_MAX_ATOMS], n = 0, rank[ONNX_MAX_ATOMS];
    for (size_t i = 0; i < order->n; i++)
        if (!i || order->atoms[i] < order->atoms[i - 1])
            begins[n++] = i;
        else
            for (size_t k = order->atoms[i - 1] + 1; k < order->atoms[i]; k++)
                if (!is_one(tensor, k)) {
                    begins[n++] = i;
                    break;
                }
    if (n > LAYER_MAX_AXES)
        return 0;
    for (size_t i = 0; i < n; i++) { /* the position of block i among all blocks, by its first atom */
        rank[i] = 0;
        for (size_t k = 0; k < n; k++)
            rank[i] += order->atoms[begins[k]] < order->atoms[begins[i]];
        out->order[i] = rank[i];
        struct onnx_number size = onnx_whole(1);
        for (size_t k = begins[i]; k < (i + 1 < n ? begins[i + 1] : order->n); k++)
            if (!onnx_multiply(size, tensor->atoms[order->atoms[k]], &size))
                return 0;
        sizes[rank[i]] = size;
    }
    out->n = n;
    return n;
}

static size_t permute(const struct onnx_call *call, const struct onnx_tensor *tensor, const struct order *order,
                      size_t *n_sizes, struct onnx_number *sizes)
{
    struct permute own = {.n = 0};
    struct onnx_number before[LAYER_MAX_AXES];
    size_t n = join_neighbours(order, tensor, before, &own), value = tensor->value;
    if (!n) {
        onnx_refuse(call, "moves the numbers of its input in more than %d axes", LAYER_MAX_AXES);
        return GRAPH_NONE;
    }
    if (!same_sizes(tensor->n_sizes, tensor->sizes, n, before))
        value = reshape(call, value, tensor->n_sizes ? tensor->sizes[0] : onnx_whole(1), n, before);
    for (size_t i = 0; i < n; i++) {
        sizes[i] = before[own.order[i]];
        if (i && !onnx_known(sizes[i]))
            return open_axis(call);
    }
    *n_sizes = n;
    struct layer *layer = value == GRAPH_NONE ? NULL : onnx_layer(call, &layer_permute, "Permute");
    if (!layer)
        return GRAPH_NONE;
    *(struct permute *)layer->own = own;
    return onnx_node(call, &value, 1);
}

size_t onnx_arrange(const struct onnx_call *call, const struct onnx_tensor *tensor, size_t n,
                    const struct onnx_axis *axes)
{
    struct order order = {.n = 0};
    struct onnx_number want[LAYER_MAX_AXES];
    size_t value = tensor->value, n_sizes = tensor->n_sizes;
    bool rising = true;
    if (n > LAYER_MAX_AXES) {
        onnx_refuse(call, "has a tensor of more than %d axes after the batch", LAYER_MAX_AXES);
        return GRAPH_NONE;
    }
    for (size_t i = 0; i < n; i++) {
        add_atoms(tensor, &axes[i], &order);
        struct onnx_axis own = {.n = 0};
        for (size_t k = 0; k < axes[i].n; k++)
            if (axes[i].atoms[k] != ONNX_OF_BATCH)
                own.atoms[own.n++] = axes[i].atoms[k];
        if (!onnx_axis_size(tensor, &own, &want[i]))
            return open_axis(call);
    }
    if (!is_complete(tensor, &order)) {
        onnx_refuse(call, "takes a part of its input's axes, which is not served");
        return GRAPH_NONE;
    }
    for (size_t i = 1; i < order.n; i++)
        rising &= order.atoms[i] > order.atoms[i - 1];
    struct onnx_number sizes[LAYER_MAX_AXES];
    memcpy(sizes, tensor->sizes, sizeof sizes);
    if (!rising)
        value = permute(call, tensor, &order, &n_sizes, sizes);
    if (value == GRAPH_NONE || same_sizes(n_sizes, sizes, n, want))
        return value;
    return reshape(call, value, n_sizes ? sizes[0] : onnx_whole(1), n, want);
}

bool onnx_order(const struct onnx_call *call, struct onnx_tensor *tensor)
{
    struct onnx_axis axes[ONNX_MAX_RANK];
    struct onnx_number sizes[ONNX_MAX_RANK];
    struct onnx_batch batch = onnx_batch_of(tensor);
    size_t n = 0;
    for (size_t i = 0; i < tensor->rank; i++) {
        const struct onnx_axis *from = &tensor->axes[i];
        if (i == batch.axis && !batch.merged)
            continue;
        if (i == batch.axis && from->atoms[0] != ONNX_OF_BATCH)
            return onnx_refuse(call,
                               "takes a tensor whose first axis is [timesteps * batch]; export the model with the "
                               "batch first");
        axes[n] = (struct onnx_axis){.n = 0};
        for (size_t k = 0; k < from->n; k++)
            if (from->atoms[k] != ONNX_OF_BATCH)
                axes[n].atoms[axes[n].n++] = from->atoms[k];
        if (!onnx_axis_size(tensor, &axes[n], &sizes[n]))
            return open_axis(call) != GRAPH_NONE;
        n++;
    }
    size_t value = onnx_arrange(call, tensor, n, axes), layer = tensor->layer;
    bool whole = tensor->whole, moved = value != tensor->value;
    if (value == GRAPH_NONE)
        return false;
    *tensor = onnx_tensor_of(value, n, sizes, batch);
    tensor->layer = moved ? GRAPH_NONE : layer;
    tensor->whole = whole;
    return true;
}

/* The number of atoms of the last axis, if they are the last atoms; otherwise 0. */
static size_t last_atoms(const struct onnx_tensor *tensor)
{
    const struct onnx_axis *last = &tensor->axes[tensor->rank - 1];
    size_t from = tensor->n_atoms - last->n;
    struct onnx_number size;
    if (!last->n || last->n > tensor->n_atoms || !tensor->n_sizes)
        return 0;
    for (size_t k = 0; k < last->n; k++)
        if (last->atoms[k] != (signed char)(from + k))
            return 0;
    return onnx_axis_size(tensor, last, &size) && onnx_same(size, tensor->sizes[tensor->n_sizes - 1]) ? last->n : 0;
}

bool onnx_last(const struct onnx_call *call, struct onnx_tensor *tensor)
{
    struct onnx_batch batch = onnx_batch_of(tensor);
    if (!tensor->rank || batch.axis == tensor->rank - 1)
        return onnx_refuse(call, "works along the batch, which is not served");
    return last_atoms(tensor) || onnx_order(call, tensor);
}

void onnx_set_last(struct onnx_tensor *tensor, size_t size)
{
    struct onnx_number number = onnx_whole((int64_t)size);
    tensor->n_atoms -= last_atoms(tensor);
    tensor->sizes[tensor->n_sizes - 1] = number;
    tensor->axes[tensor->rank - 1] = onnx_new_axis(tensor, number);
}

/* Whether an axis consists only of ones. */
static bool is_size_one(const struct onnx_tensor *tensor, const struct onnx_axis *axis)
{
    struct onnx_number size;
    return onnx_axis_size(tensor, axis, &size) && onnx_is_whole(size, 1);
}

bool onnx_batch_at(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis)
{
    if (onnx_batch_axis(tensor) == axis && axis < tensor->rank)
        return true;
    if (call->c->batch != 1 || axis >= tensor->rank || !is_size_one(tensor, &tensor->axes[axis]))
        return false;
    for (size_t i = 0; i < tensor->rank; i++) {
        struct onnx_axis *from = &tensor->axes[i];
        for (size_t k = 0; k < from->n; k++)
            if (from->atoms[k] == ONNX_OF_BATCH) {
                memmove(&from->atoms[k], &from->atoms[k + 1], from->n - k - 1);
                from->n--;
                break;
            }
    }
    tensor->axes[axis] = (struct onnx_axis){.n = 1, .atoms = {ONNX_OF_BATCH}};
    return true;
}
