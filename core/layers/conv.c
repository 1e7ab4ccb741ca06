/* Convolutions: a product of the weights with every window of the input, through packed kernels. A causal Conv1D with
   strides of 1 keeps its last inputs as a state, so that parts of a sequence give the same outputs as the whole.
   Source: keras/layers/convolutional/. */
#include "conv.h"

#include <stdlib.h>
#include <string.h>

enum { CHUNK = 32 }; /* windows of one product */

static size_t window_size(const struct conv *conv)
{
    return conv->window.size[0] * conv->window.size[1];
}

static size_t outputs_of(const struct conv *conv, size_t channels)
{
    return conv->kind == CONV_DEPTHWISE ? channels * conv->depth_multiplier : conv->filters;
}

/* ---- configuration ---- */

static void conv_defaults(void *own)
{
    struct conv *conv = own;
    window_defaults(&conv->window);
    conv->window.rank = 1;
    conv->groups = conv->depth_multiplier = 1;
    conv->use_bias = true;
    conv->kernel_initializer = conv->pointwise_initializer = initializer_find("glorot_uniform")->initializer;
    conv->bias_initializer = initializer_find("zeros")->initializer;
}

/* Kernels as Keras has them: [size…, channels / groups, filters], depthwise [size…, channels, depth_multiplier],
   pointwise [1…, channels * depth_multiplier, filters]. */
static void kernel_tensor(const struct conv *conv, size_t channels, bool pointwise, struct layer_tensor *out)
{
    const char *name = pointwise ? "pointwise_kernel" : conv->kind == CONV_FULL ? "kernel" : "depthwise_kernel";
    *out = (struct layer_tensor){.initializer = pointwise ? &conv->pointwise_initializer : &conv->kernel_initializer};
    memcpy(out->name, name, strlen(name) + 1);
    for (size_t i = 2 - conv->window.rank; i < 2; i++)
        out->shape[out->rank++] = pointwise ? 1 : conv->window.size[i];
    out->shape[out->rank++] = pointwise ? channels * conv->depth_multiplier : channels / conv->groups;
    out->shape[out->rank++] = pointwise || conv->kind == CONV_FULL ? conv->filters : conv->depth_multiplier;
}

static bool conv_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    const struct conv *conv = layer->own;
    size_t channels = layer_features(in), kernels = conv->kind == CONV_SEPARABLE ? 2 : 1;
    if (i < kernels) {
        kernel_tensor(conv, channels, i == 1, out);
        return true;
    }
    *out = (struct layer_tensor){
        .name = "bias", .rank = 1, .shape = {outputs_of(conv, channels)}, .initializer = &conv->bias_initializer};
    return i == kernels && conv->use_bias;
}

static enum rnn_status conv_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                  struct layer_shape *out, struct rnn_error *err)
{
    const struct conv *conv = layer->own;
    size_t channels = layer_features(in);
    (void)sequences;
    if (channels % conv->groups || conv->filters % conv->groups)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": %zu channels and %zu filters cannot be divided into %zu groups",
                        layer->name, channels, conv->filters, conv->groups);
    return window_shape(layer, &conv->window, in, outputs_of(conv, channels), out, err);
}

/* ---- weights ---- */

/* Make n packed matrices [depth, filters / n] from one matrix that has their columns side by side. */
static enum rnn_status build_parts(struct layer *layer, const float *kernel, size_t depth, const float *bias,
                                   struct rnn_error *err)
{
    struct conv *conv = layer->own;
    size_t n = conv->groups, units = conv->filters / n;
    conv->parts = calloc(n, sizeof *conv->parts);
    conv->starts = calloc(n, sizeof *conv->starts);
    for (size_t g = 0; conv->parts && conv->starts && g < n; g++) {
        enum rnn_status status = packed_init(&conv->parts[g], kernel, depth, conv->filters, g, 1, units,
                                             layer->vec->lanes, layer->format, err);
        if (status)
            return status;
        conv->starts[g] = packed_row(&conv->parts[g], bias ? bias + g * units : NULL);
    }
    if (conv->starts && conv->starts[n - 1])
        return RNN_OK;
    return rnn_fail(err, RNN_ENOMEM, "out of memory for %zu filters", conv->filters);
}

/* Depthwise weights are copied unchanged: [window][channels][depth_multiplier]. */
static enum rnn_status build_depth(struct conv *conv, const float *kernel, const float *bias, struct rnn_error *err)
{
    size_t width = conv->channels * conv->depth_multiplier, floats = (window_size(conv) + 1) * width;
    conv->depth = rnn_alloc(floats, sizeof *conv->depth);
    if (!conv->depth)
        return rnn_fail(err, RNN_ENOMEM, "out of memory for a depthwise kernel");
    memset(conv->depth, 0, floats * sizeof *conv->depth);
    memcpy(conv->depth, kernel, window_size(conv) * width * sizeof *kernel);
    if (bias)
        memcpy(conv->depth + window_size(conv) * width, bias, width * sizeof *bias);
    return RNN_OK;
}

static const char *const history_names[] = {"inputs"};
/* This cell does not run. It gives the last inputs of a convolution their name and size among the states. */
static const struct cell_class cell_history = {
    .keras_name = "Conv1D", .layer_name = "Conv1D", .states = 1, .state_names = history_names};

static bool keeps_history(const struct layer *layer, const struct layer_shape *in)
{
    const struct conv *conv = layer->own;
    size_t axes[LAYER_MAX_AXES];
    /* A window of one timestep is causal with each padding of Keras. */
    bool causal =
        conv->window.padding == WINDOW_CAUSAL || (conv->window.size[1] == 1 && conv->window.padding != WINDOW_GIVEN);
    return causal && conv->window.rank == 1 && conv->window.strides[1] == 1 && layer_axes(in, axes) == 2;
}

static enum rnn_status conv_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                  struct rnn_error *err)
{
    struct conv *conv = layer->own;
    bool separable = conv->kind == CONV_SEPARABLE;
    const float *bias = conv->use_bias ? tensors[separable ? 2 : 1] : NULL;
    enum rnn_status status = RNN_OK;
    size_t history;
    conv->channels = layer_features(in);
    if (conv->kind != CONV_FULL)
        status = build_depth(conv, tensors[0], conv->kind == CONV_DEPTHWISE ? bias : NULL, err);
    if (!status && conv->kind != CONV_DEPTHWISE)
        status = build_parts(layer, tensors[separable],
                             separable ? conv->channels * conv->depth_multiplier
                                       : window_size(conv) * (conv->channels / conv->groups),
                             bias, err);
    if (status || !keeps_history(layer, in))
        return status;
    conv->history = rnn_cell_spec_new(&cell_history);
    if (!conv->history ||
        !rnn_size_mul((conv->window.size[1] - 1) * conv->window.dilation[1], conv->channels, &history))
        return rnn_fail(err, RNN_ENOMEM, "out of memory");
    conv->history->units = history;
    return RNN_OK;
}

static void conv_close(void *own)
{
    struct conv *conv = own;
    for (size_t g = 0; conv->parts && g < conv->groups; g++)
        packed_close(&conv->parts[g]);
    for (size_t g = 0; conv->starts && g < conv->groups; g++)
        free(conv->starts[g]);
    free(conv->parts);
    free(conv->starts);
    free(conv->depth);
    rnn_cell_spec_free(conv->history);
}

static size_t conv_bytes(const struct layer *layer)
{
    const struct conv *conv = layer->own;
    size_t bytes = conv->depth ? (window_size(conv) + 1) * conv->channels * conv->depth_multiplier * sizeof(float) : 0;
    for (size_t g = 0; conv->parts && g < conv->groups; g++)
        bytes += packed_bytes(&conv->parts[g]) + packed_columns(&conv->parts[g]) * sizeof(float);
    return bytes;
}

/* ---- time ---- */

static enum layer_time conv_time(const struct layer *layer)
{
    return keeps_history(layer, &layer->input) ? TIME_CARRIED : TIME_WHOLE;
}

static bool conv_states(const struct layer *layer, size_t p, struct layer_states *out)
{
    static const size_t first = 0;
    const struct conv *conv = layer->own;
    if (p || !conv->history || !conv->history->units)
        return false;
    *out = (struct layer_states){.spec = conv->history, .leaf_offsets = &first, .elems = conv->history->units};
    return true;
}

/* ---- running ---- */

/* The floats of the widest row of work space: a gathered window, the output of the depthwise stage, or
   pre-activations. */
static bool row_floats(const struct conv *conv, size_t *floats)
{
    size_t columns = conv->parts ? packed_columns(&conv->parts[0]) : 0, window, depth;
    return rnn_size_mul(window_size(conv), conv->channels, &window) &&
           rnn_size_mul(conv->channels, conv->depth_multiplier, &depth) && rnn_size_add(window, depth, floats) &&
           rnn_size_add(*floats, columns, floats);
}

static bool conv_scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    (void)rows;
    return row_floats(layer->own, bytes) && rnn_size_mul(*bytes, CHUNK * sizeof(float), bytes) &&
           rnn_size_add(*bytes, 3 * RNN_ALIGNMENT, bytes);
}

/* One block [length 0][length 1][channels] of a row while it runs. */
struct block {
    const struct conv *conv;
    const float *x, *history; /* history: the inputs before x, or NULL for zeros */
    size_t lengths[2], before[2], places[2];
};

/* The vector at a position of the padded input; NULL for zeros. */
static const float *vector_at(const struct block *block, size_t at0, size_t at1)
{
    const struct conv *conv = block->conv;
    if (at0 < block->before[0] || at0 - block->before[0] >= block->lengths[0])
        return NULL;
    if (at1 < block->before[1])
        return block->history ? block->history + at1 * conv->channels : NULL;
    if (at1 - block->before[1] >= block->lengths[1])
        return NULL;
    return block->x + ((at0 - block->before[0]) * block->lengths[1] + at1 - block->before[1]) * conv->channels;
}

/* Copy the window at position p: channels first to first + n - 1 of its vectors. */
static void gather(const struct block *block, size_t p, size_t first, size_t n, float *out)
{
    const struct window *window = &block->conv->window;
    size_t start0 = p / block->places[1] * window->strides[0], start1 = p % block->places[1] * window->strides[1];
    for (size_t i = 0; i < window->size[0]; i++)
        for (size_t j = 0; j < window->size[1]; j++, out += n) {
            const float *x = vector_at(block, start0 + i * window->dilation[0], start1 + j * window->dilation[1]);
            if (x)
                memcpy(out, x + first, n * sizeof *out);
            else
                memset(out, 0, n * sizeof *out);
        }
}

/* The number of windows from position p on that are contiguous in the input, one stride apart. */
static size_t direct_run(const struct block *block, size_t p)
{
    const struct conv *conv = block->conv;
    const struct window *window = &conv->window;
    size_t start = p * window->strides[1], end = block->before[1] + block->lengths[1];
    if (window->rank != 1 || conv->kind != CONV_FULL || conv->groups > 1 || window->dilation[1] != 1 ||
        start < block->before[1] || start + window->size[1] > end)
        return 0;
    size_t n = (end - window->size[1] - start) / window->strides[1] + 1;
    return n < block->places[1] - p ? n : block->places[1] - p;
}

/* out [channels * depth_multiplier] from a gathered window. */
static void run_depth(const struct conv *conv, const float *x, float *out)
{
    size_t multiplier = conv->depth_multiplier, width = conv->channels * multiplier, window = window_size(conv);
    memcpy(out, conv->depth + window * width, width * sizeof *out);
    for (size_t k = 0; k < window; k++) {
        const float *weights = conv->depth + k * width;
        for (size_t c = 0; c < conv->channels; c++, x++)
            for (size_t m = 0; m < multiplier; m++)
                out[c * multiplier + m] += *x * weights[c * multiplier + m];
    }
}

/* Compute n vectors of `filters` numbers of group g, from windows that are `stride` floats apart. */
static void run_product(const struct layer *layer, size_t g, size_t n, const float *x, size_t stride, float *z,
                        float *out)
{
    const struct conv *conv = layer->own;
    const struct packed *part = &conv->parts[g];
    size_t columns = packed_columns(part), units = conv->filters / conv->groups;
    if (columns == units && conv->groups == 1) { /* the rows of the product are the rows of the output */
        layer->vec->product(part, vec_all(part), n, x, stride, conv->starts[g], 0, out);
        return;
    }
    layer->vec->product(part, vec_all(part), n, x, stride, conv->starts[g], 0, z);
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * conv->filters + g * units, z + i * columns, units * sizeof *out);
}

/* n windows from place p on. */
static void run_windows(const struct layer *layer, const struct block *block, size_t p, size_t n, float *space,
                        float *out)
{
    const struct conv *conv = layer->own;
    size_t channels = conv->channels / conv->groups, size = window_size(conv) * channels;
    size_t depth = conv->channels * conv->depth_multiplier;
    float *deep = space + CHUNK * window_size(conv) * conv->channels, *z = deep + CHUNK * depth;
    for (size_t g = 0; g < conv->groups; g++) {
        for (size_t i = 0; i < n; i++)
            gather(block, p + i, g * channels, channels, space + i * size);
        if (conv->kind == CONV_FULL)
            run_product(layer, g, n, space, size, z, out);
    }
    if (conv->kind == CONV_FULL)
        return;
    for (size_t i = 0; i < n; i++)
        run_depth(conv, space + i * size, conv->kind == CONV_DEPTHWISE ? out + i * depth : deep + i * depth);
    if (conv->kind == CONV_SEPARABLE)
        run_product(layer, 0, n, deep, depth, z, out);
}

/* An elementwise function is applied to all vectors at once. */
static void activate(const struct layer *layer, size_t n, size_t width, float *out)
{
    const struct activation *activation = &((const struct conv *)layer->own)->activation;
    bool one = vec_activates(activation);
    for (size_t i = 0; i < (one ? 1 : n); i++)
        vec_activate(layer->vec, activation, one ? n * width : width, out + i * width);
}

static void run_block(const struct layer *layer, const struct block *block, float *space, float *out)
{
    const struct conv *conv = layer->own;
    size_t total = block->places[0] * block->places[1], width = outputs_of(conv, conv->channels), n;
    float *z = space + CHUNK * (window_size(conv) * conv->channels + conv->channels * conv->depth_multiplier);
    for (size_t p = 0; p < total; p += n, out += n * width) {
        size_t direct = direct_run(block, p);
        n = 1;
        if (direct) {
            n = direct < CHUNK ? direct : CHUNK;
            const float *x = block->x + (p * conv->window.strides[1] - block->before[1]) * conv->channels;
            run_product(layer, 0, n, x, conv->window.strides[1] * conv->channels, z, out);
        } else {
            while (n < CHUNK && p + n < total && !direct_run(block, p + n))
                n++;
            run_windows(layer, block, p, n, space, out);
        }
        activate(layer, n, width, out);
    }
}

/* Keep the last inputs, from the kept inputs and the new inputs. */
static void keep_history(const struct conv *conv, const struct layer_view *in, float *history)
{
    size_t floats = conv->history->units, came = in->timesteps * conv->channels;
    if (came >= floats) {
        memcpy(history, in->at + (came - floats), floats * sizeof *history);
        return;
    }
    memmove(history, history + came, (floats - came) * sizeof *history);
    memcpy(history + (floats - came), in->at, came * sizeof *history);
}

static bool conv_run(const struct layer *layer, struct layer_run *run)
{
    const struct conv *conv = layer->own;
    size_t floats, width = outputs_of(conv, conv->channels);
    arena_reset(run->arena);
    row_floats(conv, &floats);
    float *space = arena_alloc(run->arena, CHUNK * floats, sizeof *space);
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = run->in_shapes[0];
        struct window_input input;
        shape.timesteps = run->in[0][b].timesteps;
        window_input_of(&conv->window, &shape, &input);
        float *history = conv->history && conv->history->units ? run->rows[b].states : NULL;
        struct block block = {.conv = conv, .x = run->in[0][b].at, .history = history};
        for (size_t i = 0; i < 2; i++) {
            block.lengths[i] = input.lengths[i];
            block.places[i] = window_places(&conv->window, i, input.lengths[i]);
            block.before[i] = window_before(&conv->window, i, input.lengths[i]);
        }
        float *out = run->out[b].at;
        for (size_t o = 0; o < input.outer; o++) {
            run_block(layer, &block, space, out);
            block.x += input.lengths[0] * input.lengths[1] * conv->channels;
            out += block.places[0] * block.places[1] * width;
        }
        if (history)
            keep_history(conv, &run->in[0][b], history);
    }
    return true;
}

static const struct activation *conv_activation(const struct layer *layer)
{
    const struct conv *conv = layer->own;
    return &conv->activation;
}

const struct layer_class layer_conv = {
    .size = sizeof(struct conv),
    .masks = MASKS_STOP,
    .defaults = conv_defaults,
    .close = conv_close,
    .bytes = conv_bytes,
    .activation = conv_activation,
    .tensor = conv_tensor,
    .shape = conv_shape,
    .build = conv_build,
    .scratch = conv_scratch,
    .time = conv_time,
    .states = conv_states,
    .run = conv_run,
};
