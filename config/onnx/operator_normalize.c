/* Operators that normalize, and PRelu: they have weights along axes. */
#include "call.h"

#include "core/layers/group_normalization.h"
#include "core/layers/normalization.h"
#include "core/layers/prelu.h"
#include "core/layers/reduce.h"

#include <stdlib.h>
#include <string.h>

static bool give_value(struct onnx_call *call, const struct onnx_tensor *like, size_t value)
{
    struct onnx_tensor out = *like;
    out.value = value;
    out.layer = GRAPH_NONE;
    return onnx_give(call, &out);
}

/* Copy operand i to a tensor of a layer; it must have n elements. Returns false with a problem added. */
static bool copy_weights(const struct onnx_call *call, const char *name, size_t i, size_t rank, const size_t *shape)
{
    const struct onnx_constant *constant = onnx_constant(call, i);
    size_t n, wanted = 1;
    for (size_t k = 0; k < rank; k++)
        wanted *= shape[k];
    if (!constant)
        return onnx_refuse(call, "is served with operand %zu that is a constant", i + 1);
    if (!onnx_elements(constant, &n) || n != wanted)
        return onnx_refuse(call, "has operand %zu of another size than the %zu numbers of its axes", i + 1, wanted);
    const float *from = onnx_floats(call, constant);
    float *to = from ? onnx_weights(call, name, rank, shape) : NULL;
    if (to)
        memcpy(to, from, n * sizeof *to);
    return to != NULL;
}

/* The axis of the channels, axis 1 of the tensor, among those of its value after the batch, as Keras counts. A value that
   has the channels last is taken as it is. False with a problem. */
static bool find_channels(const struct onnx_call *call, struct onnx_tensor *tensor, long *axis, size_t *channels)
{
    struct onnx_number size;
    if (tensor->rank < 2 || onnx_batch_of(tensor).axis == 1)
        return onnx_refuse(call, "is served where axis 1 of its input are the channels");
    const struct onnx_axis *own = &tensor->axes[1];
    if (!onnx_axis_size(tensor, own, &size) || !onnx_known(size) || size.value < 1)
        return onnx_refuse(call, "is served for a known number of channels");
    *channels = (size_t)size.value;
    bool last =
        own->n && own->n <= tensor->n_atoms && tensor->n_sizes && onnx_same(tensor->sizes[tensor->n_sizes - 1], size);
    for (size_t i = 0; last && i < own->n; i++)
        last = own->atoms[i] == (signed char)(tensor->n_atoms - own->n + i);
    *axis = -1;
    if (last)
        return true;
    if (!onnx_order(call, tensor))
        return false;
    *axis = (long)onnx_place(tensor, 1) + 1;
    return true;
}

static bool read_batch_norm(struct onnx_call *call)
{
    static const char *const names[] = {"gamma", "beta", "moving_mean", "moving_variance"};
    const struct onnx_tensor *in = onnx_operand(call, 0);
    long axis;
    size_t channels;
    if (!in)
        return false;
    if (onnx_int(call, "training_mode", 0) || !onnx_int(call, "spatial", 1))
        return onnx_refuse(call,
                           "is served with training_mode 0 and spatial 1; export the model in its evaluation mode");
    struct onnx_tensor out = *in;
    struct layer *layer =
        find_channels(call, &out, &axis, &channels) ? onnx_layer(call, &layer_batch_norm, call->op) : NULL;
    if (!layer)
        return false;
    struct normalization *own = layer->own;
    own->axes = (struct axes){.n = 1, .at = {axis}};
    own->epsilon = onnx_float(call, "epsilon", (double)1e-5F);
    own->center = own->scale = true;
    for (size_t i = 0; i < 4; i++)
        if (!copy_weights(call, names[i], i + 1, 1, &channels))
            return false;
    return give_value(call, &out, onnx_node(call, &out.value, 1));
}

static bool read_layer_norm(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    size_t first, shape[LAYER_MAX_AXES], n = 0;
    if (!in || !onnx_axis(call, onnx_int(call, "axis", -1), in->rank, &first))
        return false;
    if (onnx_wants(call, 1) || onnx_wants(call, 2))
        return onnx_refuse(call, "is served without its outputs Mean and InvStdDev");
    struct onnx_tensor out = *in;
    if (first + 1 == in->rank ? !onnx_last(call, &out) : !onnx_order(call, &out))
        return false;
    if (onnx_batch_of(&out).axis != SIZE_MAX && onnx_batch_of(&out).axis >= first)
        return onnx_refuse(call, "mixes the rows of a batch; give it the axes behind the batch");
    struct axes axes = {.n = 0};
    for (size_t i = first; i < out.rank; i++) {
        struct onnx_number size;
        if (!onnx_axis_size(&out, &out.axes[i], &size) || !onnx_known(size))
            return onnx_refuse(call, "is served along axes of known size");
        shape[n++] = (size_t)size.value;
        axes.at[axes.n++] = (long)i - (long)out.rank;
    }
    struct layer *layer = onnx_layer(call, &layer_layer_norm, call->op);
    if (!layer)
        return false;
    struct normalization *own = layer->own;
    own->axes = axes;
    own->epsilon = onnx_float(call, "epsilon", (double)1e-5F);
    own->scale = onnx_given(call, 1);
    own->center = onnx_given(call, 2);
    if ((own->scale && !copy_weights(call, "gamma", 1, n, shape)) ||
        (own->center && !copy_weights(call, "beta", 2, n, shape)))
        return false;
    return give_value(call, &out, onnx_node(call, &out.value, 1));
}

/* This is a group normalization with one channel in each group. */
static bool read_instance_norm(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    long axis;
    size_t channels;
    if (!in)
        return false;
    struct onnx_tensor out = *in;
    struct layer *layer =
        find_channels(call, &out, &axis, &channels) ? onnx_layer(call, &layer_group_norm, call->op) : NULL;
    if (!layer)
        return false;
    struct group_normalization *own = layer->own;
    own->common.axes = (struct axes){.n = 1, .at = {axis}};
    own->common.epsilon = onnx_float(call, "epsilon", (double)1e-5F);
    own->common.center = own->common.scale = true;
    own->groups = channels;
    return copy_weights(call, "gamma", 1, 1, &channels) && copy_weights(call, "beta", 2, 1, &channels) &&
           give_value(call, &out, onnx_node(call, &out.value, 1));
}

/* Scale each vector along an axis to length 1. */
static bool read_lp_norm(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    size_t axis;
    if (!in || !onnx_axis(call, onnx_int(call, "axis", -1), in->rank, &axis))
        return false;
    if (onnx_int(call, "p", 2) != 2 || onnx_batch_of(in).axis == axis)
        return onnx_refuse(call, "is served with p 2, along an axis behind the batch");
    struct onnx_tensor out = *in;
    struct layer *layer = onnx_order(call, &out) ? onnx_layer(call, &layer_along, call->op) : NULL;
    if (!layer)
        return false;
    *(struct along *)layer->own =
        (struct along){.operation = ALONG_L2_NORMALIZE, .axis = (long)onnx_place(&out, axis) + 1, .epsilon = 1e-300};
    return give_value(call, &out, onnx_node(call, &out.value, 1));
}

/* The slopes are equal along axes in which they have size 1, or which they do not have. */
static bool read_prelu(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    const struct onnx_constant *slopes = onnx_constant(call, 1);
    struct axes shared = {.n = 0};
    size_t shape[LAYER_MAX_AXES], n = 0;
    if (!in || !slopes || slopes->rank > in->rank)
        return onnx_refuse(call, "is served with slopes that are constants, of no more axes than its input");
    struct onnx_tensor out = *in;
    if (!onnx_order(call, &out))
        return false;
    for (size_t i = 0; i < out.rank; i++) {
        size_t absent = out.rank - slopes->rank;
        bool one = i < absent || onnx_is_whole(slopes->sizes[i - absent], 1);
        struct onnx_number size;
        if (onnx_batch_of(&out).axis == i && !one)
            return onnx_refuse(call, "has slopes along the batch");
        if (onnx_batch_of(&out).axis == i)
            continue;
        if (!one && (!onnx_axis_size(&out, &out.axes[i], &size) || !onnx_known(size) ||
                     !onnx_same(size, slopes->sizes[i - absent])))
            return onnx_refuse(call, "has slopes that do not fit its input");
        shape[n++] = one ? 1 : (size_t)size.value;
        if (one)
            shared.at[shared.n++] = (long)n;
    }
    struct layer *layer = onnx_layer(call, &layer_prelu, call->op);
    if (!layer)
        return false;
    ((struct prelu *)layer->own)->shared = shared;
    return copy_weights(call, "alpha", 1, n, shape) && give_value(call, &out, onnx_node(call, &out.value, 1));
}

const struct onnx_row onnx_normalize_operators[] = {
    {"BatchNormalization", read_batch_norm, 0},
    {"LayerNormalization", read_layer_norm, 0},
    {"InstanceNormalization", read_instance_norm, 0},
    {"LpNormalization", read_lp_norm, 0},
    {"PRelu", read_prelu, 0},
    {.op = NULL},
};
