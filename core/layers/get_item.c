/* Slices, indices, new axes. Source: tensorflow/python/ops/array_ops.py (_slice_helper), keras/src/ops/numpy.py. */
#include "get_item.h"

#include <stdlib.h>
#include <string.h>

/* One axis of the input. With SLICE and INDEX, output element j is input element start + j * step. */
struct taken {
    enum pick_how how;
    long start, step;
    size_t size, count, times;
};

/* The parts of a tensor that are selected. axes [n_out] are the axes of the output. */
struct plan {
    size_t n, n_out;
    struct taken taken[LAYER_MAX_AXES];
    size_t axes[LAYER_MAX_AXES + 1];
    bool first_stays; /* the first axis of the output is the whole first axis of the input */
};

static long clamp(long value, long least, long most)
{
    return value < least ? least : value > most ? most : value;
}

/* Python's slice.indices. Unknown sizes stay unknown. */
static bool take_slice(const struct pick *pick, size_t size, struct taken *out)
{
    long n = (long)size, step = pick->step ? pick->step : 1, least = step < 0 ? -1 : 0, most = step < 0 ? n - 1 : n;
    long start = step < 0 ? n - 1 : 0, stop = step < 0 ? -1 : n;
    if (pick->has_start)
        start = clamp(pick->start < 0 ? pick->start + n : pick->start, least, most);
    if (pick->has_stop)
        stop = clamp(pick->stop < 0 ? pick->stop + n : pick->stop, least, most);
    long distance = step < 0 ? start - stop : stop - start, by = labs(step);
    out->start = start;
    out->step = step;
    out->count = distance > 0 ? (size_t)((distance + by - 1) / by) : 0;
    return !size || out->count > 0;
}

/* Take parts of one axis. Returns false if nothing is left, or if the result is too large. */
static bool take(const struct pick *pick, size_t size, struct taken *out)
{
    *out = (struct taken){.how = pick->how, .step = 1, .size = size, .count = 1, .times = pick->times};
    if (pick->how == PICK_TILE || pick->how == PICK_REPEAT)
        return rnn_size_mul(size, pick->times, &out->count);
    if (pick->how == PICK_SLICE)
        return take_slice(pick, size, out);
    out->start = pick->start < 0 ? pick->start + (long)size : pick->start;
    return !size || (out->start >= 0 && out->start < (long)size);
}

static bool add_pick(struct plan *plan, const struct pick *pick, const size_t *axes, size_t n)
{
    if (plan->n_out > LAYER_MAX_AXES)
        return false;
    if (pick->how == PICK_NEW_AXIS) {
        plan->axes[plan->n_out++] = 1;
        return true;
    }
    if (plan->n == n || !take(pick, axes[plan->n], &plan->taken[plan->n]))
        return false;
    const struct taken *taken = &plan->taken[plan->n];
    bool whole = pick->how == PICK_SLICE && taken->step == 1 && !pick->has_start && !pick->has_stop;
    plan->first_stays |= !plan->n && !plan->n_out && whole;
    if (pick->how != PICK_INDEX)
        plan->axes[plan->n_out++] = taken->count;
    plan->n++;
    return true;
}

/* Returns false if the picks do not fit n axes, or if nothing is left of an axis. */
static bool make_plan(const struct get_item *own, const size_t *axes, size_t n, struct plan *plan)
{
    static const struct pick all = {.how = PICK_SLICE};
    size_t first = own->batch, used = 0;
    *plan = (struct plan){.n = 0};
    for (size_t i = first; i < own->n; i++)
        used += own->picks[i].how != PICK_NEW_AXIS;
    if (!own->batch && used == n + 1 && !own->n_first && own->picks[0].how == PICK_SLICE && !own->picks[0].has_start &&
        !own->picks[0].has_stop && own->picks[0].step <= 1) {
        first = 1;
        used--;
    }
    if (used > n)
        return false;
    for (size_t i = first; i < own->n_first; i++)
        if (!add_pick(plan, &own->picks[i], axes, n))
            return false;
    for (size_t i = 0; i < n - used; i++)
        if (!add_pick(plan, &all, axes, n))
            return false;
    for (size_t i = own->n_first > first ? own->n_first : first; i < own->n; i++)
        if (!add_pick(plan, &own->picks[i], axes, n))
            return false;
    return plan->n_out <= LAYER_MAX_AXES;
}

static enum rnn_status get_item_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                      struct layer_shape *out, struct rnn_error *err)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(in, axes);
    struct plan plan;
    (void)sequences;
    if (!make_plan(layer->own, axes, n, &plan))
        return rnn_fail(
            err, RNN_ESHAPE,
            "layer \"%s\" (%s) takes what its input of %zu axes after the batch (the first has %zu) does not "
            "have",
            layer->name, layer->class_name, n, n ? axes[0] : 0);
    if (!layer_shape_of(plan.n_out, plan.axes, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

static size_t source(const struct taken *taken, size_t j)
{
    if (taken->how == PICK_TILE)
        return j % taken->size;
    return taken->how == PICK_REPEAT ? j / taken->times : (size_t)(taken->start + (long)j * taken->step);
}

/* Axes from `block` on are copied as a whole. */
static void get_row(const struct plan *plan, const float *x, float *out)
{
    size_t strides[LAYER_MAX_AXES] = {0}, index[LAYER_MAX_AXES] = {0}, stride = 1, block = plan->n, outer = 1,
           inner = 1;
    for (size_t i = plan->n; i-- > 0; stride *= plan->taken[i].size)
        strides[i] = stride;
    while (block && plan->taken[block - 1].how == PICK_SLICE && plan->taken[block - 1].step == 1 &&
           plan->taken[block - 1].count == plan->taken[block - 1].size)
        inner *= plan->taken[--block].size;
    for (size_t i = 0; i < block; i++)
        outer *= plan->taken[i].count;
    for (size_t e = 0; e < outer; e++, out += inner) {
        size_t at = 0;
        for (size_t i = 0; i < block; i++)
            at += source(&plan->taken[i], index[i]) * strides[i];
        memcpy(out, x + at, inner * sizeof *out);
        for (size_t i = block; i-- > 0;) {
            if (++index[i] < plan->taken[i].count)
                break;
            index[i] = 0;
        }
    }
}

static bool get_item_run(const struct layer *layer, struct layer_run *run)
{
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        size_t axes[LAYER_MAX_AXES];
        struct plan plan;
        shape.timesteps = run->in[0][b].timesteps;
        make_plan(layer->own, axes, layer_axes(&shape, axes), &plan);
        get_row(&plan, run->in[0][b].at, run->out[b].at);
    }
    return true;
}

/* x[:, -1] is the last timestep. */
static enum layer_time get_item_time(const struct layer *layer)
{
    const struct get_item *own = layer->own;
    size_t axes[LAYER_MAX_AXES], n = layer_axes(&layer->input, axes), first = own->batch;
    struct plan plan;
    if (!make_plan(own, axes, n, &plan))
        return TIME_WHOLE;
    if (!layer->input.sequence)
        return plan.n_out == 1 ? TIME_POINTWISE : TIME_WHOLE;
    if (own->n_first > first && own->picks[first].how == PICK_INDEX && own->picks[first].start == -1)
        return TIME_LAST;
    return plan.first_stays && plan.n_out > 1 ? TIME_POINTWISE : TIME_WHOLE;
}

/* ---- axes of size 1 ---- */

/* The position of a Keras axis among n axes after the batch. Returns false if it is not one of them. */
static bool place_of_axis(long axis, size_t n, size_t *place)
{
    long at = axis < 0 ? (long)n + axis : axis - 1;
    *place = (size_t)at;
    return at >= 0 && at < (long)n;
}

static enum rnn_status expand_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                    struct layer_shape *out, struct rnn_error *err)
{
    const struct size_one *own = layer->own;
    size_t axes[LAYER_MAX_AXES + 1], n = layer_axes(in, axes), at;
    (void)sequences;
    if (!place_of_axis(own->axes[0], n + 1, &at) || n == LAYER_MAX_AXES)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): expected an axis after the batch, and at most %d in all",
                        layer->name, layer->class_name, LAYER_MAX_AXES);
    memmove(axes + at + 1, axes + at, (n - at) * sizeof *axes);
    axes[at] = 1;
    return layer_shape_of(n + 1, axes, out)
               ? RNN_OK
               : rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
}

/* Find the axes to remove. */
static bool find_squeezed(const struct size_one *own, size_t n, const size_t *axes, bool gone[LAYER_MAX_AXES])
{
    size_t at;
    for (size_t i = 0; i < n; i++)
        gone[i] = !own->n && axes[i] == 1;
    for (size_t i = 0; i < own->n; i++) {
        if (!place_of_axis(own->axes[i], n, &at) || axes[at] != 1)
            return false;
        gone[at] = true;
    }
    return true;
}

static enum rnn_status squeeze_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                     struct layer_shape *out, struct rnn_error *err)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(in, axes), count = 0;
    bool gone[LAYER_MAX_AXES];
    (void)sequences;
    if (!find_squeezed(layer->own, n, axes, gone))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): its input has no such axis of size 1 after the batch",
                        layer->name, layer->class_name);
    for (size_t i = 0; i < n; i++)
        if (!gone[i])
            axes[count++] = axes[i];
    return layer_shape_of(count, axes, out)
               ? RNN_OK
               : rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
}

/* The first axis stays the axis of timesteps if it stays the first of several axes. */
static enum layer_time expand_time(const struct layer *layer)
{
    const struct size_one *own = layer->own;
    size_t axes[LAYER_MAX_AXES], at;
    bool later = place_of_axis(own->axes[0], layer_axes(&layer->input, axes) + 1, &at) && at > 0;
    return layer->input.sequence && later ? TIME_POINTWISE : TIME_WHOLE;
}

static enum layer_time squeeze_time(const struct layer *layer)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(&layer->input, axes), left = 0;
    bool gone[LAYER_MAX_AXES], good = n && find_squeezed(layer->own, n, axes, gone);
    for (size_t i = 0; good && i < n; i++)
        left += !gone[i];
    return good && layer->input.sequence && !gone[0] && left > 1 ? TIME_POINTWISE : TIME_WHOLE;
}

const struct layer_class layer_get_item = {.size = sizeof(struct get_item),
                                           .masks = MASKS_STOP,
                                           .time = get_item_time,
                                           .shape = get_item_shape,
                                           .run = get_item_run};
const struct layer_class layer_expand = {
    .size = sizeof(struct size_one), .masks = MASKS_STOP, .view = true, .time = expand_time, .shape = expand_shape};
const struct layer_class layer_squeeze = {
    .size = sizeof(struct size_one), .masks = MASKS_STOP, .view = true, .time = squeeze_time, .shape = squeeze_shape};
