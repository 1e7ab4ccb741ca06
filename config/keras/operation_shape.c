/* Operations that move numbers: x[…], reshapes, joins, splits. */
#include "core/layers/get_item.h"
#include "core/layers/merge.h"
#include "core/layers/reshape.h"
#include "core/layers/resize.h"

#include "operation_call.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_TIMES = 1 << 20 };

/* ---- x[…] ---- */

static bool read_bound(const json_t *slice, const char *key, bool *has, long *out)
{
    const json_t *value = json_object_get(slice, key);
    *has = value && !json_is_null(value);
    *out = (long)json_integer_value(value);
    return !*has || (json_is_integer(value) && *out > -MAX_TIMES * 1024L && *out < MAX_TIMES * 1024L);
}

/* null, a whole number, or a slice: {start, stop, step}, which Keras 3 puts into the config of a __slice__. */
static bool read_pick(const json_t *json, struct pick *out)
{
    const json_t *slice = json_object_get(json, "config") ? json_object_get(json, "config") : json;
    bool has_step = false;
    *out = (struct pick){.how = PICK_SLICE, .step = 1};
    if (json_is_null(json)) {
        out->how = PICK_NEW_AXIS;
        return true;
    }
    if (json_is_integer(json)) {
        out->how = PICK_INDEX;
        out->start = (long)json_integer_value(json);
        return out->start > -MAX_TIMES * 1024L && out->start < MAX_TIMES * 1024L;
    }
    if (!json_is_object(slice) || !read_bound(slice, "start", &out->has_start, &out->start) ||
        !read_bound(slice, "stop", &out->has_stop, &out->stop) || !read_bound(slice, "step", &has_step, &out->step))
        return false;
    out->step = has_step ? out->step : 1;
    return out->step != 0;
}

static bool is_ellipsis(const json_t *json)
{
    const char *name = json_string_value(json_object_get(json, "class_name"));
    return (name && !strcmp(name, "__ellipsis__")) ||
           (json_is_string(json) && strstr(json_string_value(json), "llipsis"));
}

/* The slices of x[…]; the first one is for the batch. */
static bool read_picks(const struct operation_call *call, const json_t *list, struct get_item *out)
{
    bool one = !json_is_array(list), ellipsis = false;
    for (size_t i = 0; i < (one ? 1 : json_array_size(list)); i++) {
        const json_t *json = one ? list : json_array_get(list, i);
        if (is_ellipsis(json)) {
            ellipsis = true;
            continue;
        }
        if (out->n == GET_ITEM_MAX_PICKS || !read_pick(json, &out->picks[out->n]))
            return operation_refuse(call, "is supported with whole numbers, slices, an ellipsis and new axes, not with "
                                          "tensors or steps of 0");
        out->n++;
        out->n_first += !ellipsis;
    }
    out->batch = out->n_first > 0;
    const struct pick *batch = &out->picks[0];
    if (out->batch &&
        (batch->how != PICK_SLICE || batch->step != 1 || (batch->has_start && batch->start) || batch->has_stop))
        return operation_refuse(call, "selects a part of the batch, which is not supported: rows are independent");
    return true;
}

static bool read_get_item(struct operation_call *call)
{
    static const char *const names[] = {"slice_spec", "key", NULL};
    const json_t *list = call->n_operands > 1 ? call->operands[1] : operation_argument(call, names);
    struct get_item own = {.n = 0};
    size_t value = operation_value(call, 0);
    if (value == GRAPH_NONE || !read_picks(call, list, &own))
        return false;
    struct layer *layer = operation_layer(call, &layer_get_item);
    if (!layer)
        return false;
    *(struct get_item *)layer->own = own;
    return operation_give(call, &value, 1);
}

/* ---- picks along one axis ---- */

/* Apply one pick to a Keras axis. */
static bool pick_axis(struct operation_call *call, size_t value, long axis, const struct pick *pick, size_t *output)
{
    static const struct pick all = {.how = PICK_SLICE, .step = 1};
    struct get_item own = {.batch = axis > 0};
    size_t place = axis < 0 ? (size_t)(-axis - 1) : (size_t)axis, n = place + 1;
    if (axis == 0 || place > LAYER_MAX_AXES)
        return operation_refuse(call, "works along the batch, which is not supported: rows are independent");
    for (size_t i = 0; i < n; i++)
        own.picks[i] = all;
    own.picks[axis < 0 ? 0 : place] = *pick;
    own.n = n;
    own.n_first = axis < 0 ? 0 : n;
    struct layer *layer = operation_layer(call, &layer_get_item);
    if (!layer)
        return false;
    *(struct get_item *)layer->own = own;
    return operation_node(call, &value, 1, output);
}

static bool give_pick(struct operation_call *call, size_t value, long axis, const struct pick *pick)
{
    if (call->n_outputs == GRAPH_MAX_INPUTS)
        return operation_refuse(call, "has too many outputs");
    return value != GRAPH_NONE && pick_axis(call, value, axis, pick, &call->outputs[call->n_outputs++]);
}

/* The size of the axis of a split. */
static bool axis_size(const struct operation_call *call, size_t value, long axis, size_t *size)
{
    struct graph *graph = &call->out->model;
    struct layer_shape shape;
    size_t axes[LAYER_MAX_AXES], node = graph->values[value].node;
    if (node == GRAPH_NONE)
        shape = graph->inputs[graph->values[value].input].shape;
    else if (graph->values[value].states ||
             graph_node_shapes(graph, node, NULL, (struct layer_shape[GRAPH_MAX_INPUTS]){{0}}, &shape, NULL))
        return operation_refuse(call, "is supported only for tensors of known size");
    size_t n = layer_axes(&shape, axes);
    long at = axis < 0 ? (long)n + axis : axis - 1;
    if (at < 0 || at >= (long)n || !axes[at])
        return operation_refuse(call, "is supported only along an axis after the batch whose size is known");
    *size = axes[at];
    return true;
}

static bool give_part(struct operation_call *call, size_t value, long axis, size_t first, size_t end)
{
    const struct pick pick = {
        .how = PICK_SLICE, .has_start = true, .has_stop = true, .start = (long)first, .stop = (long)end, .step = 1};
    return give_pick(call, value, axis, &pick);
}

/* A number is a number of equal parts. A list has the sizes of the parts in Keras 2, and the indices of the cuts in
   Keras 3. */
static bool read_split(struct operation_call *call)
{
    static const char *const names[] = {"num_or_size_splits", "indices_or_sections", NULL};
    const json_t *parts = operation_argument(call, names);
    bool sizes = operation_option(call, names[0]) != NULL;
    long list[GRAPH_MAX_INPUTS], axis = 0;
    size_t n = 0, size = 0, value = operation_value(call, 0), first = 0;
    if (value == GRAPH_NONE || !operation_whole(call, "axis", &axis) ||
        !operation_list(call, "the parts", parts, GRAPH_MAX_INPUTS, list, &n) || !axis_size(call, value, axis, &size))
        return false;
    if (!json_is_array(parts)) {
        if (list[0] < 1 || list[0] > GRAPH_MAX_INPUTS || size % (size_t)list[0])
            return operation_refuse(call, "cannot split %zu elements into %ld equal parts", size, list[0]);
        for (size_t i = 0, part = size / (size_t)list[0]; i < (size_t)list[0]; i++)
            if (!give_part(call, value, axis, i * part, (i + 1) * part))
                return false;
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        size_t end = list[i] < 0 ? size + 1 : (size_t)list[i] + (sizes ? first : 0);
        if (end <= first || end > size)
            return operation_refuse(call, "is supported with parts of at least 1 element within the axis");
        if (!give_part(call, value, axis, first, end))
            return false;
        first = end;
    }
    return sizes ? first == size || operation_refuse(call, "has parts that do not cover the whole axis")
                 : first < size && give_part(call, value, axis, first, size);
}

static bool read_unstack(struct operation_call *call)
{
    long axis = 0;
    size_t size = 0, value = operation_value(call, 0);
    if (value == GRAPH_NONE || !operation_whole(call, "axis", &axis) || !axis_size(call, value, axis, &size))
        return false;
    for (size_t i = 0; i < size; i++) {
        const struct pick pick = {.how = PICK_INDEX, .start = (long)i};
        if (!give_pick(call, value, axis, &pick))
            return false;
    }
    return true;
}

/* One axis, or a list of axes. */
static bool read_flip(struct operation_call *call)
{
    long axes[LAYER_MAX_AXES];
    size_t n = 0, value = operation_value(call, 0);
    const json_t *axis = operation_option(call, "axis");
    if (!axis)
        return operation_refuse(call, "is supported only with an axis: without one it mixes the rows of a batch");
    if (value == GRAPH_NONE || !operation_list(call, "axis", axis, LAYER_MAX_AXES, axes, &n))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!pick_axis(call, value, axes[i], &(const struct pick){.how = PICK_SLICE, .step = -1}, &value))
            return false;
    call->outputs[call->n_outputs++] = value;
    return n > 0 || operation_refuse(call, "has no axis");
}

/* One number for each axis; the number for the batch must be 1. */
static bool read_tile(struct operation_call *call)
{
    static const char *const names[] = {"multiples", "repeats", NULL};
    long list[LAYER_MAX_AXES + 1] = {0};
    size_t n = 0, value = operation_value(call, 0);
    struct get_item own = {.batch = true};
    const json_t *times = operation_argument(call, names);
    if (value == GRAPH_NONE || !operation_list(call, "the times", times, LAYER_MAX_AXES + 1, list, &n))
        return false;
    if (!json_is_array(times) || list[0] != 1)
        return operation_refuse(call, "is supported with 1 for the batch and a number for each axis");
    own.n = own.n_first = n;
    own.picks[0] = (struct pick){.how = PICK_SLICE, .step = 1};
    for (size_t i = 1; i < n; i++) {
        own.picks[i] = (struct pick){.how = list[i] == 1 ? PICK_SLICE : PICK_TILE, .step = 1, .times = (size_t)list[i]};
        if (list[i] < 1 || list[i] > MAX_TIMES)
            return operation_refuse(call, "repeats an axis %ld times", list[i]);
    }
    struct layer *layer = operation_layer(call, &layer_get_item);
    if (!layer)
        return false;
    *(struct get_item *)layer->own = own;
    return operation_give(call, &value, 1);
}

static bool read_repeat(struct operation_call *call)
{
    long axis = 0, times = 0;
    size_t value = operation_value(call, 0);
    if (value == GRAPH_NONE || !operation_whole(call, "axis", &axis) || !operation_whole(call, "repeats", &times))
        return false;
    if (times < 1 || times > MAX_TIMES)
        return operation_refuse(call, "is supported with one number of repeats");
    return give_pick(call, value, axis, &(const struct pick){.how = PICK_REPEAT, .times = (size_t)times});
}

/* ---- shapes ---- */

static bool read_reshape(struct operation_call *call)
{
    static const char *const names[] = {"shape", "newshape", NULL};
    long list[LAYER_MAX_AXES + 1];
    size_t n = 0, value = operation_value(call, 0), open = 0;
    struct reshape own = {.rank = 0};
    const json_t *shape = operation_argument(call, names);
    if (value == GRAPH_NONE)
        return false;
    json_t *plain = json_deep_copy(shape);
    if (json_is_array(plain) && json_is_null(json_array_get(plain, 0)))
        json_array_set_new(plain, 0, json_integer(-1));
    bool good = operation_list(call, "a shape", plain, LAYER_MAX_AXES + 1, list, &n);
    json_decref(plain);
    if (!good)
        return false;
    for (size_t i = 1; i < n; i++) {
        own.target[own.rank++] = list[i] == -1 ? SIZE_MAX : (size_t)list[i];
        open += list[i] == -1;
        good &= list[i] == -1 || (list[i] >= 1 && list[i] <= MAX_TIMES);
    }
    if (!json_is_array(shape) || n < 2 || list[0] != -1 || open || !good)
        return operation_refuse(call,
                                "is supported with a shape that has -1 for the batch and sizes for all other axes");
    struct layer *layer = operation_layer(call, &layer_reshape);
    if (!layer)
        return false;
    *(struct reshape *)layer->own = own;
    return operation_give(call, &value, 1);
}

static bool read_transpose(struct operation_call *call)
{
    static const char *const names[] = {"perm", "axes", NULL};
    long list[LAYER_MAX_AXES + 1];
    size_t n = 0, value = operation_value(call, 0);
    bool seen[LAYER_MAX_AXES] = {false}, good = true;
    struct permute own = {.n = 0};
    const json_t *order = operation_argument(call, names);
    if (!order)
        return operation_refuse(call, "is supported only with an order of axes: without one it moves the batch");
    if (value == GRAPH_NONE || !operation_list(call, "axes", order, LAYER_MAX_AXES + 1, list, &n))
        return false;
    for (size_t i = 0; i < n; i++)
        list[i] += list[i] < 0 ? (long)n : 0;
    good = n > 1 && list[0] == 0;
    for (size_t i = 1; good && i < n; i++) {
        good = list[i] >= 1 && list[i] < (long)n && !seen[list[i] - 1];
        if (good)
            seen[own.order[own.n++] = (size_t)list[i] - 1] = true;
    }
    if (!good)
        return operation_refuse(call, "is supported with an order that has the batch first and each axis once");
    struct layer *layer = operation_layer(call, &layer_permute);
    if (!layer)
        return false;
    *(struct permute *)layer->own = own;
    return operation_give(call, &value, 1);
}

static bool expand(const struct operation_call *call, size_t value, long axis, size_t *output)
{
    struct layer *layer = value == GRAPH_NONE ? NULL : operation_layer(call, &layer_expand);
    if (!layer)
        return false;
    *(struct size_one *)layer->own = (struct size_one){.n = 1, .axes = {axis}};
    return operation_node(call, &value, 1, output);
}

static bool read_expand_dims(struct operation_call *call)
{
    long axis = 0;
    size_t n = 0;
    const json_t *value = operation_option(call, "axis");
    if (!value || !operation_list(call, "axis", value, 1, &axis, &n) || n != 1 || axis == 0)
        return !*call->reader->failed &&
               operation_refuse(call, "is supported with one axis, which must not be the batch");
    call->n_outputs = 1;
    return expand(call, operation_value(call, 0), axis, &call->outputs[0]);
}

static bool read_squeeze(struct operation_call *call)
{
    static const char *const names[] = {"axis", "squeeze_dims", NULL};
    const json_t *axis = operation_argument(call, names);
    struct size_one own = {.n = 0};
    size_t value = operation_value(call, 0);
    if (value == GRAPH_NONE || (axis && !operation_list(call, "axis", axis, LAYER_MAX_AXES, own.axes, &own.n)))
        return false;
    struct layer *layer = operation_layer(call, &layer_squeeze);
    if (!layer)
        return false;
    *(struct size_one *)layer->own = own;
    return operation_give(call, &value, 1);
}

/* ---- joins ---- */

static bool join(struct operation_call *call, const size_t *values, long axis)
{
    struct layer *layer = operation_layer(call, &layer_concatenate);
    if (!layer)
        return false;
    *(struct concatenate *)layer->own = (struct concatenate){.axis = axis};
    return operation_give(call, values, call->n_operands);
}

static bool read_concat(struct operation_call *call)
{
    size_t values[OPERATION_MAX_OPERANDS];
    long axis = call->reader->keras_major > 2 ? -1 : 0;
    if (!operation_whole(call, "axis", &axis))
        return false;
    if (axis == 0)
        return operation_refuse(call, "works along the batch, which is not supported: rows are independent");
    for (size_t i = 0; i < call->n_operands; i++)
        if ((values[i] = operation_value(call, i)) == GRAPH_NONE)
            return false;
    return join(call, values, axis);
}

static bool read_stack(struct operation_call *call)
{
    size_t values[OPERATION_MAX_OPERANDS];
    long axis = 0;
    if (!operation_whole(call, "axis", &axis))
        return false;
    if (axis == 0)
        return operation_refuse(call, "works along the batch, which is not supported: rows are independent");
    for (size_t i = 0; i < call->n_operands; i++)
        if (!expand(call, operation_value(call, i), axis, &values[i]))
            return false;
    return join(call, values, axis);
}

static const char *const get_item_keys[] = {"slice_spec", "key", NULL};
static const char *const axis_keys[] = {"axis", NULL};
static const char *const split_keys[] = {"num_or_size_splits", "indices_or_sections", "axis", "num", NULL};
static const char *const tile_keys[] = {"multiples", "repeats", NULL};
static const char *const repeat_keys[] = {"repeats", "axis", NULL};
static const char *const reshape_keys[] = {"shape", "newshape", NULL};
static const char *const transpose_keys[] = {"perm", "axes", NULL};
static const char *const squeeze_keys[] = {"axis", "squeeze_dims", NULL};

const struct operation_row keras_shape_operations[] = {
    {"getitem", read_get_item, 0, get_item_keys},
    {"get_item", read_get_item, 0, get_item_keys},
    {"reshape", read_reshape, 0, reshape_keys},
    {"transpose", read_transpose, 0, transpose_keys},
    {"expand_dims", read_expand_dims, 0, axis_keys},
    {"squeeze", read_squeeze, 0, squeeze_keys},
    {"concat", read_concat, 0, axis_keys},
    {"concatenate", read_concat, 0, axis_keys},
    {"stack", read_stack, 0, axis_keys},
    {"split", read_split, 0, split_keys},
    {"unstack", read_unstack, 0, split_keys},
    {"reverse", read_flip, 0, axis_keys},
    {"flip", read_flip, 0, axis_keys},
    {"tile", read_tile, 0, tile_keys},
    {"repeat", read_repeat, 0, repeat_keys},
    {NULL, NULL, 0, NULL},
};
