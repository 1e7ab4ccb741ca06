/* Operators that repeat or mirror elements along axes, or add elements before and after them. */
#include "operator_pad.h"

#include "core/layers/gather.h"
#include "core/layers/get_item.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Add a node of a layer that changes only the size of axis `axis`, of a tensor whose axes are in order. Its own struct
   has been filled. Returns false with a problem added. */
static bool resize(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis, struct onnx_number size)
{
    struct onnx_number sizes[LAYER_MAX_AXES];
    struct onnx_batch batch = onnx_batch_of(tensor);
    memcpy(sizes, tensor->sizes, sizeof sizes);
    sizes[onnx_place(tensor, axis)] = size;
    size_t value = onnx_node(call, &tensor->value, 1);
    *tensor = onnx_tensor_of(value, tensor->n_sizes, sizes, batch);
    return value != GRAPH_NONE;
}

static bool is_batch(const struct onnx_call *call, const struct onnx_tensor *tensor, size_t axis)
{
    return onnx_batch_of(tensor).axis == axis && !onnx_refuse(call, "works along the batch, which is not served");
}

/* An axis of its own in the value. */
static bool open_axis(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis, struct onnx_number *size)
{
    return !is_batch(call, tensor, axis) && onnx_order(call, tensor) &&
           onnx_axis_size(tensor, &tensor->axes[axis], size);
}

bool onnx_gather_list(struct onnx_call *call, const struct onnx_tensor *in, size_t axis,
                      const struct onnx_constant *list)
{
    struct onnx_tensor out = *in;
    struct onnx_number size;
    size_t n;
    if (list->rank != 1 || !list->whole || !onnx_elements(list, &n) || !n)
        return onnx_refuse(call, "is served with a list of indices that is known when the model is loaded");
    if (!open_axis(call, &out, axis, &size))
        return false;
    struct layer *layer = onnx_layer(call, &layer_gather, call->op);
    long *numbers = layer ? calloc(n, sizeof *numbers) : NULL;
    if (!numbers)
        return layer ? onnx_no_memory(call) : false;
    *(struct gather *)layer->own =
        (struct gather){.how = GATHER_LIST, .axis = onnx_place(&out, axis), .n = n, .list = numbers};
    for (size_t i = 0; i < n; i++) {
        struct onnx_number number = list->wholes[list->uniform ? 0 : i];
        if (!onnx_known(number) || (onnx_known(size) && (number.value >= size.value || number.value < -size.value)))
            return onnx_refuse(call, "has an index that is not known, or that its input does not have");
        numbers[i] = (long)number.value;
    }
    return resize(call, &out, axis, onnx_whole((int64_t)n)) && onnx_give(call, &out);
}

/* ---- Pad ---- */

static bool find_mode(const struct onnx_call *call, struct gather *own)
{
    static const char *const modes[] = {"constant", "edge", "reflect"};
    static const enum gather_how hows[] = {GATHER_CONSTANT, GATHER_EDGE, GATHER_REFLECT};
    const char *mode = onnx_text(call, "mode", "constant");
    const struct onnx_constant *value = onnx_constant(call, 2);
    if (onnx_given(call, 2) && (!value || value->n < 1))
        return onnx_refuse(call, "is served with a value that is a constant");
    own->value = value ? (float)onnx_element(value, 0) : (float)onnx_float(call, "value", 0);
    for (size_t i = 0; i < 3; i++)
        if (!strcmp(mode, modes[i])) {
            own->how = hows[i];
            return true;
        }
    return onnx_refuse(call, "is served with the modes constant, edge and reflect; it has \"%.40s\"", mode);
}

/* Add elements before and after those of one axis; negative numbers remove elements. */
static bool pad_axis(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis, const struct gather *mode,
                     long before, long after)
{
    struct onnx_number size, more = onnx_whole(before + after);
    if (!before && !after)
        return true;
    if (before < 0 || after < 0 || before > INT32_MAX || after > INT32_MAX)
        return onnx_refuse(call, "has negative pads; cut the input with a Slice");
    if (!open_axis(call, tensor, axis, &size))
        return false;
    if (onnx_known(size) && mode->how == GATHER_REFLECT && (before >= size.value || after >= size.value))
        return onnx_refuse(call, "mirrors more elements than its input has");
    if (!onnx_add(size, more, &size))
        size = onnx_unknown(call);
    struct layer *layer = onnx_layer(call, &layer_gather, call->op);
    if (!layer)
        return false;
    struct gather *own = layer->own;
    *own = *mode;
    own->axis = onnx_place(tensor, axis);
    own->before = (size_t)before;
    own->after = (size_t)after;
    return resize(call, tensor, axis, size);
}

/* Read the pads: first those before, then those after; for the axes of operand 4, or for all axes. */
static bool read_pad(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    struct gather mode = {.how = GATHER_CONSTANT};
    long pads[2 * ONNX_MAX_RANK], axes[ONNX_MAX_RANK];
    size_t n, n_axes, axis;
    if (!in || !find_mode(call, &mode) ||
        !onnx_ints(call, "pads", call->c->opset < 11 ? SIZE_MAX : 1, 2 * ONNX_MAX_RANK, pads, &n) ||
        !onnx_ints(call, "axes", 3, ONNX_MAX_RANK, axes, &n_axes))
        return false;
    struct onnx_tensor out = *in;
    if (n != 2 * (n_axes ? n_axes : in->rank))
        return onnx_refuse(call, "has %zu pads for an input of %zu axes", n, in->rank);
    for (size_t i = 0; i < n / 2; i++)
        if (!onnx_axis(call, n_axes ? axes[i] : (long)i, in->rank, &axis) ||
            !pad_axis(call, &out, axis, &mode, pads[i], pads[n / 2 + i]))
            return false;
    return onnx_give(call, &out);
}

/* ---- Tile, ReverseSequence ---- */

static bool pick(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis, struct pick pick,
                 struct onnx_number size)
{
    struct layer *layer = onnx_layer(call, &layer_get_item, call->op);
    if (!layer)
        return false;
    struct get_item *own = layer->own;
    own->batch = true;
    own->n = own->n_first = onnx_place(tensor, axis) + 2;
    own->picks[own->n - 1] = pick;
    return resize(call, tensor, axis, size);
}

static bool read_tile(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    long repeats[ONNX_MAX_RANK];
    struct onnx_number size;
    size_t n;
    if (!in || !onnx_ints(call, "repeats", 1, ONNX_MAX_RANK, repeats, &n))
        return false;
    struct onnx_tensor out = *in;
    if (n != in->rank)
        return onnx_refuse(call, "repeats %zu axes, and its input has %zu", n, in->rank);
    for (size_t i = 0; i < n; i++) {
        struct pick tile = {.how = PICK_TILE, .times = (size_t)repeats[i]};
        if (repeats[i] == 1)
            continue;
        if (repeats[i] < 1 || repeats[i] > INT32_MAX)
            return onnx_refuse(call, "repeats axis %zu %ld times", i, repeats[i]);
        if (!open_axis(call, &out, i, &size) || !onnx_multiply(size, onnx_whole(repeats[i]), &size) ||
            !pick(call, &out, i, tile, size))
            return onnx_refuse(call, "repeats an axis in a way that is not served");
    }
    return onnx_give(call, &out);
}

/* Supported only if each sequence is reversed as a whole. */
static bool read_reverse(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    const struct onnx_constant *lengths = onnx_constant(call, 1);
    struct pick backwards = {.how = PICK_SLICE, .step = -1};
    struct onnx_number size;
    size_t axis;
    if (!in || !onnx_axis(call, onnx_int(call, "time_axis", 0), in->rank, &axis))
        return false;
    struct onnx_tensor out = *in;
    if (!open_axis(call, &out, axis, &size))
        return false;
    for (size_t i = 0; !lengths || i < lengths->n; i++)
        if (!lengths || !lengths->whole || !onnx_same(lengths->wholes[i], size))
            return onnx_refuse(call,
                               "is served where all of every sequence is reversed; give sequences without padding");
    return pick(call, &out, axis, backwards, size) && onnx_give(call, &out);
}

const struct onnx_row onnx_pad_operators[] = {
    {"Pad", read_pad, 0},
    {"Tile", read_tile, 0},
    {"ReverseSequence", read_reverse, 0},
    {.op = NULL},
};
