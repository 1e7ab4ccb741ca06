/* Operators that move numbers. Most of them only reorder axes. */
#include "operator_pad.h"
#include "operator_reshape.h"

#include "core/layers/arithmetic.h"
#include "core/layers/embedding.h"
#include "core/layers/get_item.h"
#include "core/layers/merge.h"
#include "core/layers/pooling.h"
#include "core/layers/recurrent.h"

#include <string.h>

static bool read_same(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    return in && onnx_give(call, in);
}

static bool read_cast(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    long to = onnx_int(call, "to", 1);
    bool whole = to != 1 && to != 10 && to != 11 && to != 16;
    if (!in)
        return false;
    struct onnx_tensor out = *in;
    if (!whole || in->whole) {
        out.whole = whole && to != 9;
        if (to != 9)
            return onnx_give(call, &out);
    }
    struct layer *layer = onnx_layer(call, &layer_function, "Cast");
    if (!layer)
        return false;
    ((struct function *)layer->own)->kind = to == 9 ? FUNCTION_NOT_ZERO : FUNCTION_TRUNCATE;
    out.value = onnx_node(call, &in->value, 1);
    out.layer = GRAPH_NONE;
    out.whole = true;
    return onnx_give(call, &out);
}

static bool read_transpose(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    long perm[ONNX_MAX_RANK];
    size_t n, at;
    if (!in || !onnx_ints(call, "perm", SIZE_MAX, ONNX_MAX_RANK, perm, &n))
        return false;
    struct onnx_tensor out = *in;
    if (n && n != in->rank)
        return onnx_refuse(call, "orders %zu axes, and its input has %zu", n, in->rank);
    for (size_t i = 0; i < in->rank; i++) {
        if (!onnx_axis(call, n ? perm[i] : (long)(in->rank - 1 - i), in->rank, &at))
            return false;
        out.axes[i] = in->axes[at];
    }
    return onnx_give(call, &out);
}

static bool size_is_one(const struct onnx_call *call, const struct onnx_tensor *tensor, size_t axis)
{
    struct onnx_number size;
    bool batch = onnx_batch_axis(tensor) == axis;
    return batch ? call->c->batch == 1 : onnx_axis_size(tensor, &tensor->axes[axis], &size) && onnx_is_whole(size, 1);
}

static bool read_squeeze(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    long axes[ONNX_MAX_RANK];
    bool gone[ONNX_MAX_RANK] = {false};
    size_t n, at;
    if (!in || !onnx_ints(call, "axes", call->c->opset < 13 ? SIZE_MAX : 1, ONNX_MAX_RANK, axes, &n))
        return false;
    for (size_t i = 0; i < in->rank && !n; i++)
        gone[i] = size_is_one(call, in, i);
    for (size_t i = 0; i < n; i++) {
        if (!onnx_axis(call, axes[i], in->rank, &at))
            return false;
        if (!size_is_one(call, in, at))
            return onnx_refuse(call, "takes away axis %zu, whose size is not known to be 1", at);
        gone[at] = true;
    }
    struct onnx_tensor out = *in;
    out.rank = 0;
    for (size_t i = 0; i < in->rank; i++)
        if (!gone[i])
            out.axes[out.rank++] = in->axes[i];
    return onnx_give(call, &out);
}

static bool read_unsqueeze(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    long axes[ONNX_MAX_RANK];
    bool fresh[ONNX_MAX_RANK] = {false};
    size_t n, at, from = 0;
    if (!in || !onnx_ints(call, "axes", call->c->opset < 13 ? SIZE_MAX : 1, ONNX_MAX_RANK, axes, &n))
        return false;
    struct onnx_tensor out = *in;
    out.rank = in->rank + n;
    if (out.rank > ONNX_MAX_RANK)
        return onnx_refuse(call, "gives more than %d axes", ONNX_MAX_RANK);
    for (size_t i = 0; i < n; i++) {
        if (!onnx_axis(call, axes[i], out.rank, &at))
            return false;
        fresh[at] = true;
    }
    const struct onnx_axis one = {.n = 0};
    for (size_t i = 0; i < out.rank; i++)
        out.axes[i] = fresh[i] ? one : in->axes[from++];
    return onnx_give(call, &out);
}

/* ---- parts ---- */

static bool last_of(struct onnx_number size, long index)
{
    return index == -1 || (onnx_known(size) && index == size.value - 1);
}

/* If no other node takes the sequence of a recurrent layer, the layer returns only its last output. */
static bool take_from_recurrent(const struct onnx_call *call, const struct onnx_tensor *tensor)
{
    struct layer *layer = tensor->layer == GRAPH_NONE ? NULL : &call->c->out->model.layers[tensor->layer];
    if (!layer || layer->class != &layer_recurrent)
        return false;
    struct recurrent *own = recurrent_of(layer);
    if (own->n_parts != 1 || own->parts[0].go_backwards || !own->parts[0].return_sequences)
        return false;
    own->parts[0].return_sequences = false;
    return true;
}

/* Whether an axis is the timesteps of a sequence of vectors. */
static bool is_time(const struct onnx_tensor *tensor, size_t axis)
{
    return tensor->n_sizes == 2 && tensor->axes[axis].n == 1 && !tensor->axes[axis].atoms[0] &&
           onnx_same(tensor->atoms[0], tensor->sizes[0]);
}

/* The last timestep of such a sequence. With `keep`, its axis stays with size 1. */
static bool take_last(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis, bool keep)
{
    if (!take_from_recurrent(call, tensor)) {
        struct layer *layer = onnx_layer(call, &layer_last_timestep, "LastTimestep");
        tensor->value = layer ? onnx_node(call, &tensor->value, 1) : GRAPH_NONE;
    }
    tensor->layer = GRAPH_NONE;
    tensor->sizes[0] = tensor->sizes[1];
    tensor->n_sizes = 1;
    memmove(tensor->atoms, &tensor->atoms[1], --tensor->n_atoms * sizeof *tensor->atoms);
    tensor->axes[axis].n = 0;
    for (size_t i = 0; i < tensor->rank; i++)
        for (size_t k = 0; k < tensor->axes[i].n; k++)
            tensor->axes[i].atoms[k] = (signed char)(tensor->axes[i].atoms[k] - (tensor->axes[i].atoms[k] > 0));
    if (!keep) {
        memmove(&tensor->axes[axis], &tensor->axes[axis + 1], (tensor->rank - axis - 1) * sizeof *tensor->axes);
        tensor->rank--;
    }
    return tensor->value != GRAPH_NONE;
}

/* Take a part of one axis of a tensor whose axes are in order. */
static bool take(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis, const struct pick *pick,
                 struct onnx_number size)
{
    struct onnx_batch batch = onnx_batch_of(tensor);
    size_t place = onnx_place(tensor, axis), n = tensor->n_sizes;
    struct onnx_number sizes[LAYER_MAX_AXES];
    struct layer *layer = onnx_layer(call, &layer_get_item, "Slice");
    if (!layer)
        return false;
    struct get_item *own = layer->own;
    own->batch = true;
    own->n = own->n_first = place + 2;
    own->picks[place + 1] = *pick;
    memcpy(sizes, tensor->sizes, sizeof sizes);
    sizes[place] = size;
    if (pick->how == PICK_INDEX) {
        memmove(&sizes[place], &sizes[place + 1], (n - place - 1) * sizeof *sizes);
        n--;
        if (batch.axis != SIZE_MAX && batch.axis > axis)
            batch.axis--;
    }
    size_t value = onnx_node(call, &tensor->value, 1);
    *tensor = onnx_tensor_of(value, n, sizes, batch);
    return value != GRAPH_NONE;
}

static bool is_batch(const struct onnx_call *call, const struct onnx_tensor *tensor, size_t axis)
{
    if (onnx_batch_of(tensor).axis == axis)
        return !onnx_refuse(call, "takes a part of the batch, which is not served");
    return false;
}

/* A Gather of rows of a table by ids becomes an Embedding. */
static bool read_embedding(struct onnx_call *call)
{
    const struct onnx_constant *table = onnx_constant(call, 0);
    const struct onnx_tensor *ids = onnx_operand(call, 1);
    size_t sizes[ONNX_MAX_RANK];
    if (!ids || !table || table->whole || table->rank != 2 || onnx_int(call, "axis", 0))
        return onnx_refuse(call, "is served as an embedding: rows of a table of floats [ids, features]");
    struct onnx_tensor in = *ids;
    const float *numbers = onnx_floats(call, table);
    struct layer *layer = numbers && onnx_order(call, &in) ? onnx_layer(call, &layer_embedding, "Embedding") : NULL;
    if (!layer)
        return false;
    struct embedding *own = layer->own;
    for (size_t i = 0; i < 2; i++)
        sizes[i] = (size_t)table->sizes[i].value;
    own->input_dim = sizes[0];
    own->output_dim = sizes[1];
    own->mask_zero = false;
    float *to = onnx_weights(call, "embeddings", 2, sizes);
    if (!to)
        return false;
    memcpy(to, numbers, sizes[0] * sizes[1] * sizeof *to);
    struct onnx_number axes[LAYER_MAX_AXES];
    size_t n = in.n_sizes;
    if (n == LAYER_MAX_AXES)
        return onnx_refuse(call, "gives a tensor of too many axes");
    memcpy(axes, in.sizes, sizeof axes);
    axes[n++] = onnx_whole((int64_t)sizes[1]);
    struct onnx_tensor out = onnx_tensor_of(onnx_node(call, &in.value, 1), n, axes, onnx_batch_of(&in));
    return onnx_give(call, &out);
}

static bool read_gather(struct onnx_call *call)
{
    const struct onnx_constant *index = onnx_constant(call, 1);
    if (onnx_constant(call, 0))
        return read_embedding(call);
    const struct onnx_tensor *in = onnx_operand(call, 0);
    size_t axis;
    struct onnx_number size;
    if (!in || !onnx_axis(call, onnx_int(call, "axis", 0), in->rank, &axis) || is_batch(call, in, axis))
        return false;
    if (index && index->rank == 1 && index->n > 1)
        return onnx_gather_list(call, in, axis, index);
    if (!index || !index->whole || index->n != 1 || !onnx_known(index->wholes[0]) || index->rank > 1)
        return onnx_refuse(call, "is served with one index that is known when the model is loaded");
    struct onnx_tensor out = *in;
    long at = (long)index->wholes[0].value;
    if (!onnx_axis_size(in, &in->axes[axis], &size))
        return false;
    if (onnx_is_whole(size, 1)) { /* the axis is removed */
        if (at != 0 && at != -1)
            return onnx_refuse(call, "has index %ld of an axis of size 1", at);
        if (!index->rank) {
            memmove(&out.axes[axis], &out.axes[axis + 1], (out.rank - axis - 1) * sizeof *out.axes);
            out.rank--;
        }
        return onnx_give(call, &out);
    }
    if (is_time(&out, axis) && last_of(size, at))
        return take_last(call, &out, axis, index->rank == 1) && onnx_give(call, &out);
    if (!onnx_order(call, &out))
        return false;
    struct pick pick = {.how = index->rank ? PICK_SLICE : PICK_INDEX, .start = at, .has_start = true, .step = 1};
    pick.stop = at + 1;
    pick.has_stop = at != -1;
    return take(call, &out, axis, &pick, onnx_whole(1)) && onnx_give(call, &out);
}

/* The number of elements of a part. A part of an open size gets a new symbol. */
static struct onnx_number part_size(const struct onnx_call *call, struct onnx_number size, const struct pick *pick)
{
    if (!onnx_known(size)) {
        if (pick->step == 1 && (!pick->has_start || !pick->start) && !pick->has_stop)
            return size;
        if (pick->has_start && pick->start < 0 && !pick->has_stop && pick->step == 1)
            return onnx_whole(-pick->start);
        return onnx_unknown(call);
    }
    long n = (long)size.value, step = pick->step, start = step < 0 ? n - 1 : 0, stop = step < 0 ? -1 : n;
    long least = step < 0 ? -1 : 0, most = step < 0 ? n - 1 : n;
    if (pick->has_start)
        start = pick->start < 0 ? pick->start + n : pick->start;
    if (pick->has_stop)
        stop = pick->stop < 0 ? pick->stop + n : pick->stop;
    start = start < least ? least : start > most ? most : start;
    stop = stop < least ? least : stop > most ? most : stop;
    long distance = step < 0 ? start - stop : stop - start, by = step < 0 ? -step : step;
    return onnx_whole(distance > 0 ? (distance - 1) / by + 1 : 0);
}

/* Slice one axis. Starts and ends far outside mean the whole axis. */
static bool slice_axis(struct onnx_call *call, struct onnx_tensor *tensor, size_t axis, long start, long end, long step)
{
    static const long far = 1L << 31;
    struct pick pick = {.how = PICK_SLICE, .start = start, .stop = end, .step = step};
    struct onnx_number size;
    if (!step)
        return onnx_refuse(call, "has a step of 0");
    pick.has_start = step > 0 ? start != 0 : start < far - 1 && start != -1;
    pick.has_stop = step > 0 ? end < far - 1 : end > -far;
    if (!pick.has_start && !pick.has_stop && step == 1)
        return true;
    if (is_batch(call, tensor, axis) || !onnx_axis_size(tensor, &tensor->axes[axis], &size))
        return false;
    if (onnx_known(size) && step == 1 && onnx_same(part_size(call, size, &pick), size))
        return true;
    struct onnx_number count = part_size(call, size, &pick);
    if (onnx_known(count) && count.value < 1)
        return onnx_refuse(call, "takes nothing of axis %zu", axis);
    if (is_time(tensor, axis) && onnx_is_whole(count, 1) && step == 1 && last_of(size, start))
        return take_last(call, tensor, axis, true);
    return onnx_order(call, tensor) && take(call, tensor, axis, &pick, count);
}

static bool read_slice(struct onnx_call *call)
{
    static const char *const keys[4] = {"starts", "ends", "axes", "steps"};
    const struct onnx_tensor *in = onnx_operand(call, 0);
    long lists[4][ONNX_MAX_RANK];
    size_t n[4], axis;
    for (size_t i = 0; i < 4; i++)
        if (!in || !onnx_ints(call, keys[i], call->c->opset < 10 ? SIZE_MAX : i + 1, ONNX_MAX_RANK, lists[i], &n[i]))
            return false;
    if (n[1] != n[0] || (n[2] && n[2] != n[0]) || (n[3] && n[3] != n[0]))
        return onnx_refuse(call, "has starts, ends, axes and steps that do not fit each other");
    struct onnx_tensor out = *in;
    for (size_t i = 0; i < n[0]; i++)
        if (!onnx_axis(call, n[2] ? lists[2][i] : (long)i, out.rank, &axis) ||
            !slice_axis(call, &out, axis, lists[0][i], lists[1][i], n[3] ? lists[3][i] : 1))
            return false;
    return onnx_give(call, &out);
}

static bool read_split(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    long parts[ONNX_MAX_OPERANDS], first = 0;
    size_t axis, n;
    struct onnx_number size;
    if (!in || !onnx_axis(call, onnx_int(call, "axis", 0), in->rank, &axis) || is_batch(call, in, axis) ||
        !onnx_ints(call, "split", call->c->opset < 13 ? SIZE_MAX : 1, ONNX_MAX_OPERANDS, parts, &n) ||
        !onnx_axis_size(in, &in->axes[axis], &size))
        return false;
    if (!onnx_known(size) || (n && n != call->n_out) || !call->n_out)
        return onnx_refuse(call, "splits an axis of open size, or into other parts than it has outputs");
    struct onnx_tensor ordered = *in;
    long each = (long)((size.value + (int64_t)call->n_out - 1) / (int64_t)call->n_out);
    if (!onnx_order(call, &ordered))
        return false;
    for (size_t o = 0; o < call->n_out; o++) {
        long count = n ? parts[o] : each, left = (long)size.value - first;
        count = count > left ? left : count;
        struct pick pick = {.how = PICK_SLICE, .start = first, .stop = first + count, .step = 1};
        pick.has_start = pick.has_stop = true;
        struct onnx_tensor part = ordered;
        if (count < 1)
            return onnx_refuse(call, "has a part of no size");
        first += count;
        if (!onnx_wants(call, o))
            continue;
        if (!take(call, &part, axis, &pick, onnx_whole(count)))
            return false;
        call->out[o] = (struct onnx_value){.kind = ONNX_TENSOR, .tensor = part};
    }
    return true;
}

static bool read_concat(struct onnx_call *call)
{
    size_t inputs[ONNX_MAX_OPERANDS], axis;
    const struct onnx_tensor *in = onnx_operand(call, 0);
    if (!in || !onnx_axis(call, onnx_int(call, "axis", 0), in->rank, &axis))
        return false;
    if (call->n_in == 1)
        return onnx_give(call, in);
    struct onnx_number size = onnx_whole(0);
    struct onnx_tensor first = *in;
    for (size_t i = 0; i < call->n_in; i++) {
        const struct onnx_tensor *next = onnx_operand(call, i);
        struct onnx_tensor ordered;
        if (!next || (ordered = *next, !onnx_order(call, &ordered)))
            return false;
        first = i ? first : ordered;
        if (ordered.rank != first.rank || is_batch(call, &ordered, axis))
            return onnx_refuse(call, "joins tensors of unlike axes");
        struct onnx_batch a = onnx_batch_of(&first), b = onnx_batch_of(&ordered);
        if (a.axis != b.axis || a.merged != b.merged)
            return onnx_refuse(call, "joins tensors whose batch stands in different axes");
        if (!onnx_add(size, ordered.sizes[onnx_place(&ordered, axis)], &size))
            size = onnx_unknown(call);
        inputs[i] = ordered.value;
    }
    struct layer *layer = onnx_layer(call, &layer_concatenate, "Concatenate");
    if (!layer)
        return false;
    size_t place = onnx_place(&first, axis);
    ((struct concatenate *)layer->own)->axis = (long)place + 1;
    first.sizes[place] = size;
    struct onnx_tensor out =
        onnx_tensor_of(onnx_node(call, inputs, call->n_in), first.n_sizes, first.sizes, onnx_batch_of(&first));
    return onnx_give(call, &out);
}

const struct onnx_row onnx_shape_operators[] = {
    {"Identity", read_same, 0},
    {"Dropout", read_same, 0},
    {"Cast", read_cast, 0},
    {"Squeeze", read_squeeze, 0},
    {"Unsqueeze", read_unsqueeze, 0},
    {"Transpose", read_transpose, 0},
    {"Gather", read_gather, 0},
    {"Slice", read_slice, 0},
    {"Split", read_split, 0},
    {"Concat", read_concat, 0},
    {"Reshape", onnx_read_reshape, 0},
    {"Flatten", onnx_read_flatten, 0},
    {"Expand", onnx_read_expand, 0},
    {NULL, NULL, 0},
};
