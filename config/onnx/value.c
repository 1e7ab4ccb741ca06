/* Axes and atoms. */
#include "value.h"

#include <stdint.h>

bool onnx_axis_size(const struct onnx_tensor *tensor, const struct onnx_axis *axis, struct onnx_number *size)
{
    bool good = true;
    *size = onnx_whole(1);
    for (size_t i = 0; i < axis->n; i++)
        good = good && onnx_multiply(*size,
                                     axis->atoms[i] == ONNX_OF_BATCH ? onnx_symbol(ONNX_BATCH)
                                                                     : tensor->atoms[(size_t)axis->atoms[i]],
                                     size);
    return good;
}

size_t onnx_batch_axis(const struct onnx_tensor *tensor)
{
    for (size_t i = 0; i < tensor->rank; i++)
        if (tensor->axes[i].n == 1 && tensor->axes[i].atoms[0] == ONNX_OF_BATCH)
            return i;
    return tensor->rank;
}

struct onnx_axis onnx_new_axis(struct onnx_tensor *tensor, struct onnx_number size)
{
    struct onnx_axis axis = {.n = 0};
    if (onnx_is_whole(size, 1))
        return axis;
    axis.atoms[axis.n++] = (signed char)tensor->n_atoms;
    tensor->atoms[tensor->n_atoms++] = size;
    return axis;
}

struct onnx_batch onnx_batch_of(const struct onnx_tensor *tensor)
{
    struct onnx_batch batch = {.axis = SIZE_MAX};
    for (size_t i = 0; i < tensor->rank; i++)
        for (size_t k = 0; k < tensor->axes[i].n; k++)
            if (tensor->axes[i].atoms[k] == ONNX_OF_BATCH)
                batch = (struct onnx_batch){.axis = i, .merged = tensor->axes[i].n > 1};
    return batch;
}

struct onnx_tensor onnx_tensor_of(size_t value, size_t n, const struct onnx_number *sizes, struct onnx_batch batch)
{
    struct onnx_tensor out = {.value = value, .n_sizes = n, .layer = GRAPH_NONE};
    static const struct onnx_axis lone = {.n = 1, .atoms = {ONNX_OF_BATCH}};
    bool own = batch.axis != SIZE_MAX && !batch.merged;
    for (size_t i = 0; i < n; i++)
        out.sizes[i] = sizes[i];
    for (size_t i = 0; i < n + own; i++) {
        if (own && i == batch.axis) {
            out.axes[out.rank++] = lone;
            continue;
        }
        struct onnx_axis axis = onnx_new_axis(&out, sizes[i - (own && i > batch.axis)]);
        if (batch.merged && i == batch.axis) {
            axis.atoms[1] = axis.atoms[0];
            axis.atoms[0] = ONNX_OF_BATCH;
            axis.n++;
        }
        out.axes[out.rank++] = axis;
    }
    return out;
}

size_t onnx_place(const struct onnx_tensor *tensor, size_t axis)
{
    struct onnx_batch batch = onnx_batch_of(tensor);
    return axis - (batch.axis != SIZE_MAX && !batch.merged && batch.axis < axis);
}
