/* Sums, means and other reductions over axes. Source: tensorflow/python/ops/math_ops.py, keras/src/ops/numpy.py. Sums
   are double. */
#include "reduce.h"

#include <math.h>
#include <string.h>

/* The position of a Keras axis among n axes after the batch. Returns false if it is not one of them. */
static bool place_of_axis(long axis, size_t n, size_t *place)
{
    long at = axis < 0 ? (long)n + axis : axis - 1;
    *place = (size_t)at;
    return at >= 0 && at < (long)n;
}

static size_t row_axes(const struct layer_run *run, size_t b, size_t axes[LAYER_MAX_AXES])
{
    struct layer_shape shape = run->in_shapes[0];
    shape.timesteps = run->in[0][b].timesteps;
    return layer_axes(&shape, axes);
}

static enum rnn_status no_axis(const struct layer *layer, long axis, struct rnn_error *err)
{
    return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): its input has no axis %ld after the batch", layer->name,
                    layer->class_name, axis);
}

/* Find the axes to remove. Returns false if one of them does not exist. */
static bool find_reduced(const struct reduce *own, size_t n, bool reduced[LAYER_MAX_AXES], long *bad)
{
    size_t at;
    memset(reduced, 0, LAYER_MAX_AXES * sizeof *reduced);
    for (size_t i = 0; i < own->n; i++) {
        *bad = own->axes[i];
        if (!place_of_axis(own->axes[i], n, &at))
            return false;
        reduced[at] = true;
    }
    return true;
}

static enum rnn_status reduce_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                    struct layer_shape *out, struct rnn_error *err)
{
    const struct reduce *own = layer->own;
    size_t axes[LAYER_MAX_AXES], n = layer_axes(in, axes), count = 0;
    bool reduced[LAYER_MAX_AXES];
    long bad = 0;
    (void)sequences;
    if (!find_reduced(own, n, reduced, &bad))
        return no_axis(layer, bad, err);
    for (size_t i = 0; i < n; i++)
        if (!reduced[i] || own->keepdims)
            axes[count++] = reduced[i] ? 1 : axes[i];
    if (!layer_shape_of(count, axes, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

/* An iterator over some axes of a tensor. */
struct walk {
    size_t n, sizes[LAYER_MAX_AXES], strides[LAYER_MAX_AXES], total;
};

static void add_axis(struct walk *walk, size_t size, size_t stride)
{
    walk->sizes[walk->n] = size;
    walk->strides[walk->n++] = stride;
    walk->total *= size;
}

/* Move *at, whose index is given, to the next element. */
static void next_place(const struct walk *walk, size_t *index, size_t *at)
{
    for (size_t i = walk->n; i-- > 0;) {
        *at += walk->strides[i];
        if (++index[i] < walk->sizes[i])
            return;
        *at -= walk->strides[i] * walk->sizes[i];
        index[i] = 0;
    }
}

static double join(enum reduce_operation operation, double sum, double x)
{
    switch (operation) {
    case REDUCE_MAX:
        return sum != sum || sum > x ? sum : x;
    case REDUCE_MIN:
        return sum != sum || sum < x ? sum : x;
    case REDUCE_PRODUCT:
        return sum * x;
    case REDUCE_ANY:
        return sum != 0 || x != 0;
    case REDUCE_ALL:
        return sum != 0 && x != 0;
    default:
        return sum + x;
    }
}

static double start_of(enum reduce_operation operation)
{
    switch (operation) {
    case REDUCE_MAX:
        return -INFINITY;
    case REDUCE_MIN:
        return INFINITY;
    case REDUCE_PRODUCT:
    case REDUCE_ALL:
        return 1;
    default:
        return 0;
    }
}

static double fold(enum reduce_operation operation, const struct walk *walk, const float *x)
{
    size_t index[LAYER_MAX_AXES] = {0}, at = 0;
    double sum = start_of(operation);
    for (size_t i = 0; i < walk->total; i++, next_place(walk, index, &at))
        sum = join(operation, sum, (double)x[at]);
    return sum;
}

static double variance(const struct walk *walk, const float *x)
{
    size_t index[LAYER_MAX_AXES] = {0}, at = 0;
    double mean = fold(REDUCE_SUM, walk, x) / (double)walk->total, sum = 0;
    for (size_t i = 0; i < walk->total; i++, next_place(walk, index, &at))
        sum += ((double)x[at] - mean) * ((double)x[at] - mean);
    return sum / (double)walk->total;
}

static double log_sum_exp(const struct walk *walk, const float *x)
{
    size_t index[LAYER_MAX_AXES] = {0}, at = 0;
    double most = fold(REDUCE_MAX, walk, x), sum = 0;
    if (isinf(most))
        return most;
    for (size_t i = 0; i < walk->total; i++, next_place(walk, index, &at))
        sum += exp((double)x[at] - most);
    return most + log(sum);
}

static double reduce_one(enum reduce_operation operation, const struct walk *walk, const float *x)
{
    switch (operation) {
    case REDUCE_MEAN:
        return fold(REDUCE_SUM, walk, x) / (double)walk->total;
    case REDUCE_VARIANCE:
        return variance(walk, x);
    case REDUCE_DEVIATION:
        return sqrt(variance(walk, x));
    case REDUCE_LOG_SUM_EXP:
        return log_sum_exp(walk, x);
    default:
        return fold(operation, walk, x);
    }
}

static bool reduce_run(const struct layer *layer, struct layer_run *run)
{
    const struct reduce *own = layer->own;
    for (size_t b = 0; b < run->n; b++) {
        size_t axes[LAYER_MAX_AXES], n = row_axes(run, b, axes), stride = 1, at = 0, index[LAYER_MAX_AXES] = {0};
        size_t strides[LAYER_MAX_AXES];
        struct walk kept = {.total = 1}, gone = {.total = 1};
        bool reduced[LAYER_MAX_AXES];
        long bad;
        find_reduced(own, n, reduced, &bad);
        for (size_t i = n; i-- > 0; stride *= axes[i])
            strides[i] = stride;
        for (size_t i = 0; i < n; i++)
            add_axis(reduced[i] ? &gone : &kept, axes[i], strides[i]);
        for (size_t i = 0; i < kept.total; i++, next_place(&kept, index, &at))
            run->out[b].at[i] = (float)reduce_one(own->operation, &gone, run->in[0][b].at + at);
    }
    return true;
}

/* The first axis remains the axis of timesteps if it is kept and another axis is kept, too. */
static enum layer_time reduce_time(const struct layer *layer)
{
    const struct reduce *own = layer->own;
    size_t axes[LAYER_MAX_AXES], n = layer_axes(&layer->input, axes), left = 0;
    bool reduced[LAYER_MAX_AXES];
    long bad;
    if (!layer->input.sequence)
        return TIME_POINTWISE;
    if (!find_reduced(own, n, reduced, &bad) || reduced[0])
        return TIME_WHOLE;
    for (size_t i = 0; i < n; i++)
        left += !reduced[i] || own->keepdims;
    return left > 1 ? TIME_POINTWISE : TIME_WHOLE;
}

/* ---- along an axis ---- */

static enum rnn_status along_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                   struct layer_shape *out, struct rnn_error *err)
{
    const struct along *own = layer->own;
    size_t axes[LAYER_MAX_AXES], at;
    (void)sequences, (void)out;
    return place_of_axis(own->axis, layer_axes(in, axes), &at) ? RNN_OK : no_axis(layer, own->axis, err);
}

static void softmax_line(const float *x, float *out, size_t n, size_t stride, bool logarithm)
{
    struct walk line = {.n = 1, .sizes = {n}, .strides = {stride}, .total = n};
    double whole = log_sum_exp(&line, x);
    for (size_t i = 0; i < n; i++) {
        double difference = (double)x[i * stride] - whole;
        out[i * stride] = (float)(logarithm ? difference : exp(difference));
    }
}

static void along_line(const struct along *own, const float *x, float *out, size_t n, size_t stride)
{
    double sum = 0;
    if (own->operation == ALONG_SOFTMAX || own->operation == ALONG_LOG_SOFTMAX) {
        softmax_line(x, out, n, stride, own->operation == ALONG_LOG_SOFTMAX);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double value = (double)x[i * stride];
        sum += own->operation == ALONG_L2_NORMALIZE ? value * value : value;
        out[i * stride] = (float)sum;
    }
    for (size_t i = 0; own->operation == ALONG_L2_NORMALIZE && i < n; i++)
        out[i * stride] = (float)((double)x[i * stride] / sqrt(fmax(sum, own->epsilon)));
}

static bool along_run(const struct layer *layer, struct layer_run *run)
{
    const struct along *own = layer->own;
    for (size_t b = 0; b < run->n; b++) {
        size_t axes[LAYER_MAX_AXES], n = row_axes(run, b, axes), at, outer = 1, inner = 1;
        place_of_axis(own->axis, n, &at);
        for (size_t i = 0; i < n; i++) {
            outer *= i < at ? axes[i] : 1;
            inner *= i > at ? axes[i] : 1;
        }
        for (size_t i = 0; i < outer; i++)
            for (size_t j = 0; j < inner; j++) {
                size_t first = i * axes[at] * inner + j;
                along_line(own, run->in[0][b].at + first, run->out[b].at + first, axes[at], inner);
            }
    }
    return true;
}

static enum layer_time along_time(const struct layer *layer)
{
    const struct along *own = layer->own;
    size_t axes[LAYER_MAX_AXES], at;
    bool inside = place_of_axis(own->axis, layer_axes(&layer->input, axes), &at) && at > 0;
    return inside || !layer->input.sequence ? TIME_POINTWISE : TIME_WHOLE;
}

const struct layer_class layer_reduce = {.size = sizeof(struct reduce),
                                         .masks = MASKS_STOP,
                                         .numbers = true,
                                         .time = reduce_time,
                                         .shape = reduce_shape,
                                         .run = reduce_run};
const struct layer_class layer_along = {
    .size = sizeof(struct along), .masks = MASKS_STOP, .time = along_time, .shape = along_shape, .run = along_run};
