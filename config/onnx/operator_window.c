/* Operators that slide windows along the axes after the channels: convolutions and pooling. The layers have the
   channels last, ONNX has them first. */
#include "call.h"

#include "core/layers/conv.h"
#include "core/layers/pool.h"
#include "core/layers/pooling.h"
#include "core/layers/resize.h"

#include <stdint.h>
#include <string.h>

/* Convert an operand [batch, channels, spatial…] to a value [spatial…, channels]. If the batch axis also contains
   timesteps, these come first. */
struct image {
    size_t value, rank; /* rank: the number of spatial axes */
    struct onnx_batch batch;
    size_t n;
    struct onnx_number sizes[LAYER_MAX_AXES];
};

static bool image_of(const struct onnx_call *call, bool many, struct image *out)
{
    struct onnx_tensor *given = onnx_operand(call, 0);
    struct onnx_axis axes[LAYER_MAX_AXES];
    if (!given)
        return false;
    struct onnx_tensor in = *given;
    if (in.rank < 3 || in.rank > 4)
        return onnx_refuse(call, "is served for one or two axes behind the channels; its input has %zu axes", in.rank);
    *out = (struct image){.rank = in.rank - 2, .batch = onnx_batch_of(&in)};
    if (many && out->batch.axis == 0 && out->batch.merged && in.axes[0].atoms[0] == ONNX_OF_BATCH) {
        axes[out->n] = in.axes[0];
        memmove(axes[out->n].atoms, axes[out->n].atoms + 1, --axes[out->n].n);
        out->n++;
    } else if (!onnx_batch_at(call, &in, 0)) {
        return onnx_refuse(call, "is served where the first axis of its input is the batch");
    }
    out->batch = onnx_batch_of(&in);
    for (size_t i = 2; i < in.rank; i++)
        axes[out->n++] = in.axes[i];
    axes[out->n++] = in.axes[1];
    for (size_t i = 0; i < out->n; i++)
        if (!onnx_axis_size(&in, &axes[i], &out->sizes[i]))
            return onnx_refuse(call, "takes an axis of open size that is not served");
    if (!onnx_known(out->sizes[out->n - 1]))
        return onnx_refuse(call, "is served for a known number of channels");
    out->value = onnx_arrange(call, &in, out->n, axes);
    return out->value != GRAPH_NONE;
}

static size_t channels_of(const struct image *image)
{
    return (size_t)image->sizes[image->n - 1].value;
}

/* The size of spatial axis i. */
static struct onnx_number *length_of(struct image *image, size_t i)
{
    return &image->sizes[image->n - 1 - image->rank + i];
}

/* Set the operator's output: the value of the image, with the channels after the batch. */
static bool give_image(struct onnx_call *call, const struct image *image, size_t value)
{
    struct onnx_tensor out = onnx_tensor_of(value, image->n, image->sizes, image->batch);
    struct onnx_axis channels = out.axes[out.rank - 1];
    memmove(&out.axes[2], &out.axes[1], (out.rank - 2) * sizeof *out.axes);
    out.axes[1] = channels;
    return onnx_give(call, &out);
}

/* ---- windows ---- */

/* Read a list with one number for each spatial axis; the default is 1. Returns false with a problem added. */
static bool spatial_ints(const struct onnx_call *call, const char *key, size_t rank, long least, size_t *out)
{
    long numbers[2];
    size_t n;
    if (!onnx_ints(call, key, SIZE_MAX, 2, numbers, &n))
        return false;
    if (n && n != rank)
        return onnx_refuse(call, "has %zu %s for %zu axes", n, key, rank);
    for (size_t i = 0; i < rank; i++) {
        if (n && (numbers[i] < least || numbers[i] > INT32_MAX))
            return onnx_refuse(call, "has %ld in %s", numbers[i], key);
        out[2 - rank + i] = n ? (size_t)numbers[i] : 1;
    }
    return true;
}

static size_t covered(const struct window *window, size_t i)
{
    return (window->size[i] - 1) * window->dilation[i] + 1;
}

/* auto_pad: as many places as strides fit in; what is odd goes behind (SAME_UPPER) or before the input. */
static bool pad_same(const struct onnx_call *call, struct image *image, struct window *window, bool lower)
{
    for (size_t i = 0; i < image->rank; i++) {
        size_t at = 2 - image->rank + i, cover = covered(window, at), total = cover - 1;
        struct onnx_number length = *length_of(image, i);
        if (window->strides[at] != 1) {
            if (!onnx_known(length))
                return onnx_refuse(call, "is served with auto_pad and strides for a known size of the input");
            size_t n = (size_t)length.value, reached = (n - 1) / window->strides[at] * window->strides[at] + cover;
            total = reached > n ? reached - n : 0;
        }
        window->before[at] = lower ? total - total / 2 : total / 2;
        window->after[at] = total - window->before[at];
    }
    return true;
}

static bool read_padding(const struct onnx_call *call, struct image *image, struct window *window)
{
    const char *automatic = onnx_text(call, "auto_pad", "NOTSET");
    long pads[4];
    size_t n;
    window->padding = WINDOW_GIVEN;
    if (!strcmp(automatic, "SAME_UPPER") || !strcmp(automatic, "SAME_LOWER"))
        return pad_same(call, image, window, !strcmp(automatic, "SAME_LOWER"));
    if (!onnx_ints(call, "pads", SIZE_MAX, 4, pads, &n))
        return false;
    if (strcmp(automatic, "NOTSET") || !n)
        return true;
    if (n != 2 * image->rank)
        return onnx_refuse(call, "has %zu pads for %zu axes", n, image->rank);
    for (size_t i = 0; i < image->rank; i++) {
        size_t at = 2 - image->rank + i;
        if (pads[i] < 0 || pads[image->rank + i] < 0 || pads[i] > INT32_MAX || pads[image->rank + i] > INT32_MAX)
            return onnx_refuse(call, "has negative pads; cut the input with a Slice");
        window->before[at] = (size_t)pads[i];
        window->after[at] = (size_t)pads[image->rank + i];
    }
    return true;
}

/* ceil_mode: one more place where a window begins within the input or the padding before it. */
static bool round_up(const struct onnx_call *call, struct image *image, struct window *window)
{
    if (!onnx_int(call, "ceil_mode", 0))
        return true;
    for (size_t i = 0; i < image->rank; i++) {
        size_t at = 2 - image->rank + i, stride = window->strides[at], cover = covered(window, at);
        struct onnx_number length = *length_of(image, i);
        if (!onnx_known(length))
            return onnx_refuse(call, "is served with ceil_mode for a known size of the input");
        size_t n = (size_t)length.value, whole = n + window->before[at] + window->after[at];
        if (whole < cover || (whole - cover) % stride == 0)
            continue;
        size_t start = ((whole - cover) / stride + 1) * stride;
        if (start < n + window->before[at])
            window->after[at] += start + cover - whole;
    }
    return true;
}

/* The sizes of the output. Returns false with a problem added if no window fits. */
static bool slide(const struct onnx_call *call, struct image *image, const struct window *window)
{
    for (size_t i = 0; i < image->rank; i++) {
        struct onnx_number *length = length_of(image, i);
        size_t at = 2 - image->rank + i, padded = window->before[at] + window->after[at];
        if (onnx_known(*length)) {
            size_t places = window_places(window, at, (size_t)length->value);
            if (!places)
                return onnx_refuse(call, "has windows of %zu, and its input has a size of %ld", covered(window, at),
                                   (long)length->value);
            *length = onnx_whole((int64_t)places);
        } else if (window->strides[at] != 1 || padded + 1 != covered(window, at)) {
            *length = onnx_unknown(call);
        }
    }
    return true;
}

/* One axis, strides of 1, all padding before the input: a causal convolution, which sessions and streams can run step
   by step. */
static void recognise_causal(struct window *window)
{
    if (window->rank == 1 && window->strides[1] == 1 && !window->after[1] &&
        window->before[1] + 1 == covered(window, 1) && window->before[1])
        window->padding = WINDOW_CAUSAL;
}

/* ---- convolutions ---- */

/* [filters][channels of a group][window] becomes [window][channels of a group][filters], of a depthwise one
   [window][channels][filters of a channel]. */
static void turn_kernel(const float *from, float *to, const size_t shape[3], bool depthwise)
{
    size_t filters = shape[0], channels = shape[1], places = shape[2];
    for (size_t o = 0; o < filters; o++)
        for (size_t i = 0; i < channels; i++)
            for (size_t t = 0; t < places; t++)
                to[depthwise ? t * filters + o : (t * channels + i) * filters + o] =
                    from[(o * channels + i) * places + t];
}

/* The sizes of a constant. Returns false with a problem added if one of them is open. */
static bool fixed_sizes(const struct onnx_call *call, const struct onnx_constant *constant, size_t *out)
{
    for (size_t i = 0; i < constant->rank; i++) {
        if (!onnx_known(constant->sizes[i]) || constant->sizes[i].value < 1)
            return onnx_refuse(call, "has weights of open size");
        out[i] = (size_t)constant->sizes[i].value;
    }
    return true;
}

static bool read_kernel(const struct onnx_call *call, const struct image *image, const size_t *sizes, struct conv *own)
{
    const struct onnx_constant *bias = onnx_constant(call, 2);
    size_t channels = channels_of(image), groups = own->groups, rank = image->rank, shape[4], filters = sizes[0];
    bool depthwise = own->kind == CONV_DEPTHWISE;
    memcpy(shape, &sizes[2], rank * sizeof *shape);
    shape[rank] = depthwise ? channels : channels / groups;
    shape[rank + 1] = depthwise ? filters / channels : filters;
    const float *from = onnx_floats(call, onnx_constant(call, 1));
    float *to = from ? onnx_weights(call, depthwise ? "depthwise_kernel" : "kernel", rank + 2, shape) : NULL;
    if (!to)
        return false;
    turn_kernel(from, to, (const size_t[]){filters, sizes[1], sizes[2] * (rank == 2 ? sizes[3] : 1)}, depthwise);
    own->use_bias = bias != NULL;
    if (!bias)
        return true;
    size_t n;
    if (!onnx_elements(bias, &n) || n != filters)
        return onnx_refuse(call, "has a bias of another size than its %zu filters", filters);
    from = onnx_floats(call, bias);
    to = from ? onnx_weights(call, "bias", 1, &filters) : NULL;
    if (to)
        memcpy(to, from, filters * sizeof *to);
    return to != NULL;
}

static bool read_conv(struct onnx_call *call)
{
    const struct onnx_constant *weights = onnx_constant(call, 1);
    struct image image;
    size_t sizes[ONNX_MAX_RANK];
    if (!weights || weights->whole || (onnx_given(call, 2) && !onnx_constant(call, 2)))
        return onnx_refuse(call, "is served with weights and bias that are constants of floats");
    if (!image_of(call, true, &image) || !fixed_sizes(call, weights, sizes))
        return false;
    size_t channels = channels_of(&image), rank = image.rank;
    long groups = onnx_int(call, "group", 1);
    if (weights->rank != rank + 2)
        return onnx_refuse(call, "has weights of %zu axes, and its input has %zu", weights->rank, rank + 2);
    if (groups < 1 || sizes[1] * (size_t)groups != channels || sizes[0] % (size_t)groups)
        return onnx_refuse(call, "has weights [%zu, %zu, …] in %ld groups, and its input has %zu channels", sizes[0],
                           sizes[1], groups, channels);
    struct layer *layer = onnx_layer(call, &layer_conv, rank == 1 ? "Conv1D" : "Conv2D");
    if (!layer)
        return false;
    struct conv *own = layer->own;
    own->window.rank = rank;
    memcpy(&own->window.size[2 - rank], &sizes[2], rank * sizeof *sizes);
    own->filters = sizes[0];
    own->groups = (size_t)groups;
    if ((size_t)groups == channels && channels > 1) {
        own->kind = CONV_DEPTHWISE;
        own->depth_multiplier = sizes[0] / channels;
        own->groups = 1;
    }
    if (!spatial_ints(call, "strides", rank, 1, own->window.strides) ||
        !spatial_ints(call, "dilations", rank, 1, own->window.dilation) || !read_padding(call, &image, &own->window) ||
        !read_kernel(call, &image, sizes, own) || !slide(call, &image, &own->window))
        return false;
    recognise_causal(&own->window);
    image.sizes[image.n - 1] = onnx_whole((int64_t)sizes[0]);
    return give_image(call, &image, onnx_node(call, &image.value, 1));
}

/* ---- pooling ---- */

/* For averages that include the padding: add zeros by a layer before the windows. */
static bool pad_first(const struct onnx_call *call, struct image *image, struct window *window)
{
    struct layer *layer = onnx_layer(call, &layer_pad, "ZeroPadding");
    if (!layer)
        return false;
    struct resize *own = layer->own;
    own->rank = image->rank;
    for (size_t i = 0; i < image->rank; i++) {
        size_t at = 2 - image->rank + i;
        struct onnx_number *length = length_of(image, i);
        own->before[at] = window->before[at];
        own->after[at] = window->after[at];
        if (onnx_known(*length))
            length->value += (int64_t)(own->before[at] + own->after[at]);
        else
            *length = onnx_unknown(call);
        window->before[at] = window->after[at] = 0;
    }
    image->value = onnx_node(call, &image->value, 1);
    return image->value != GRAPH_NONE;
}

static bool read_pool(struct onnx_call *call)
{
    bool average = call->row->which;
    struct image image;
    struct window window = {.rank = 0};
    window_defaults(&window);
    if (!image_of(call, false, &image))
        return false;
    if (onnx_wants(call, 1))
        return onnx_refuse(call, "is served without its second output, the places of the maxima");
    window.rank = image.rank;
    if (!onnx_has(call, "kernel_shape") || !spatial_ints(call, "kernel_shape", image.rank, 1, window.size) ||
        !spatial_ints(call, "strides", image.rank, 1, window.strides) ||
        !spatial_ints(call, "dilations", image.rank, 1, window.dilation))
        return onnx_refuse(call, "is served with a kernel_shape");
    if (window.dilation[0] != 1 || window.dilation[1] != 1)
        return onnx_refuse(call, "is served with dilations of 1");
    if (!read_padding(call, &image, &window))
        return false;
    bool counts = average && onnx_int(call, "count_include_pad", 0);
    bool padded = window.before[0] || window.before[1] || window.after[0] || window.after[1];
    if (counts && onnx_int(call, "ceil_mode", 0))
        return onnx_refuse(call, "is served with count_include_pad or ceil_mode, not with both");
    if ((counts && padded && !pad_first(call, &image, &window)) || !round_up(call, &image, &window))
        return false;
    struct layer *layer = onnx_layer(call, &layer_pool, average ? "AveragePooling" : "MaxPooling");
    if (!layer)
        return false;
    *(struct pool_window *)layer->own = (struct pool_window){.window = window, .average = average};
    return slide(call, &image, &window) && give_image(call, &image, onnx_node(call, &image.value, 1));
}

/* Pool over all spatial axes; each stays with size 1. */
static bool read_global_pool(struct onnx_call *call)
{
    bool average = call->row->which;
    struct image image;
    if (!image_of(call, false, &image))
        return false;
    struct layer *layer = onnx_layer(call, average ? &layer_average_pooling : &layer_max_pooling,
                                     average ? "GlobalAveragePooling" : "GlobalMaxPooling");
    if (!layer)
        return false;
    ((struct pooling *)layer->own)->planes = image.rank == 2;
    size_t value = onnx_node(call, &image.value, 1);
    struct onnx_tensor out = onnx_tensor_of(value, 1, &image.sizes[image.n - 1], image.batch);
    for (size_t i = 0; i < image.rank; i++)
        out.axes[out.rank++] = (struct onnx_axis){.n = 0};
    return onnx_give(call, &out);
}

const struct onnx_row onnx_window_operators[] = {
    {"Conv", read_conv, 0},
    {"MaxPool", read_pool, 0},
    {"AveragePool", read_pool, 1},
    {"GlobalMaxPool", read_global_pool, 0},
    {"GlobalAveragePool", read_global_pool, 1},
    {.op = NULL},
};
