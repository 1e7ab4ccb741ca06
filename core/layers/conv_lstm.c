/* ConvLSTM: the gates i, f, c, o are computed by convolutions of the frame and of h. Sources:
   keras/layers/rnn/base_conv_lstm.py; Shi et al., "Convolutional LSTM Network: A Machine Learning Approach for
   Precipitation Nowcasting", 2015. */
#include "conv_lstm.h"

#include <stdlib.h>
#include <string.h>

enum { GATES = 4 };

/* ---- configuration ---- */

static void conv_lstm_defaults(void *own)
{
    struct conv_lstm *lstm = own;
    window_defaults(&lstm->window);
    lstm->window.rank = 2;
    lstm->use_bias = lstm->unit_forget_bias = true;
    lstm->kernel_initializer = initializer_find("glorot_uniform")->initializer;
    lstm->recurrent_initializer = initializer_find("orthogonal")->initializer;
    lstm->bias_initializer = initializer_find("zeros")->initializer;
}

static bool conv_lstm_tensor(const struct layer *layer, const struct layer_shape *in, size_t i,
                             struct layer_tensor *out)
{
    static const char *const names[] = {"kernel", "recurrent_kernel", "bias"};
    const struct conv_lstm *own = layer->own;
    const struct initializer *const initializers[] = {&own->kernel_initializer, &own->recurrent_initializer,
                                                      &own->bias_initializer};
    if (i > 2 || (i == 2 && !own->use_bias))
        return false;
    *out = (struct layer_tensor){.below = "cell/", .initializer = initializers[i]};
    memcpy(out->name, names[i], strlen(names[i]) + 1);
    for (size_t k = 2 - own->window.rank; i < 2 && k < 2; k++)
        out->shape[out->rank++] = own->window.size[k];
    if (i < 2)
        out->shape[out->rank++] = i ? own->filters : layer_features(in);
    out->shape[out->rank++] = GATES * own->filters;
    return true;
}

/* The shape of one timestep. */
static bool frame_shape(const struct conv_lstm *own, const struct layer_shape *in, struct layer_shape *out)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(in, axes);
    return n == own->window.rank + 2 && layer_shape_of(n - 1, axes + 1, out);
}

static enum rnn_status conv_lstm_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                       struct layer_shape *out, struct rnn_error *err)
{
    const struct conv_lstm *own = layer->own;
    struct layer_shape frame, state;
    size_t axes[1 + LAYER_MAX_AXES] = {in->timesteps}, n;
    (void)sequences;
    if (!frame_shape(own, in, &frame))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s) takes sequences of frames, %zu axes after the batch",
                        layer->name, layer->class_name, own->window.rank + 2);
    enum rnn_status status = window_shape(layer, &own->window, &frame, own->filters, &state, err);
    if (status)
        return status;
    n = layer_axes(&state, axes + 1);
    if (!layer_shape_of(own->return_sequences ? n + 1 : n, axes + !own->return_sequences, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

/* ---- weights ---- */

static const char *const state_names[] = {"h", "c"};
/* This cell does not run. It gives the states their names and their number. */
static const struct cell_class cell_frames = {
    .keras_name = "ConvLSTMCell", .layer_name = "ConvLSTM", .states = 2, .state_names = state_names};

static enum rnn_status build_conv(struct layer *layer, struct layer *conv, const struct window *window,
                                  const struct layer_shape *in, const float *kernel, const float *bias,
                                  struct rnn_error *err)
{
    const struct conv_lstm *own = layer->own;
    const float *tensors[] = {kernel, bias};
    enum rnn_status status = layer_open(conv, &layer_conv, err);
    if (status)
        return status;
    struct conv *options = conv->own;
    options->window = *window;
    options->filters = GATES * own->filters;
    options->use_bias = bias != NULL;
    options->activation = activation_find("linear")->activation;
    conv->format = layer->format;
    return layer_build(conv, in, tensors, layer->vec, err);
}

static enum rnn_status conv_lstm_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                       struct rnn_error *err)
{
    struct conv_lstm *own = layer->own;
    struct window same = own->window;
    struct layer_shape state;
    frame_shape(own, in, &own->frame);
    enum rnn_status status = window_shape(layer, &own->window, &own->frame, own->filters, &state, err);
    if (!status)
        status = window_shape(layer, &own->window, &own->frame, GATES * own->filters, &own->gates, err);
    same.padding = WINDOW_SAME;
    for (size_t i = 0; i < 2; i++)
        same.strides[i] = same.dilation[i] = 1;
    if (!status)
        status = build_conv(layer, &own->input, &own->window, &own->frame, tensors[0],
                            own->use_bias ? tensors[2] : NULL, err);
    if (!status)
        status = build_conv(layer, &own->recurrent, &same, &state, tensors[1], NULL, err);
    if (status)
        return status;
    own->states = rnn_cell_spec_new(&cell_frames);
    if (!own->states)
        return rnn_fail(err, RNN_ENOMEM, "out of memory");
    own->states->units = state.timesteps * state.width;
    return RNN_OK;
}

static void conv_lstm_close(void *own)
{
    struct conv_lstm *lstm = own;
    layer_close(&lstm->input);
    layer_close(&lstm->recurrent);
    rnn_cell_spec_free(lstm->states);
}

static size_t conv_lstm_bytes(const struct layer *layer)
{
    const struct conv_lstm *own = layer->own;
    return layer_bytes(&own->input) + layer_bytes(&own->recurrent);
}

static bool conv_lstm_scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    const struct conv_lstm *own = layer->own;
    size_t other;
    if (!layer_conv.scratch(&own->input, rows, bytes) || !layer_conv.scratch(&own->recurrent, rows, &other))
        return false;
    *bytes = other > *bytes ? other : *bytes;
    return true;
}

/* ---- time ---- */

static enum layer_time conv_lstm_time(const struct layer *layer)
{
    const struct conv_lstm *own = layer->own;
    return own->go_backwards ? TIME_WHOLE : own->return_sequences ? TIME_CARRIED : TIME_LAST;
}

static bool conv_lstm_states(const struct layer *layer, size_t p, struct layer_states *out)
{
    const struct conv_lstm *own = layer->own;
    if (p || !own->states)
        return false;
    *out =
        (struct layer_states){.spec = own->states, .leaf_offsets = &own->leaf_offset, .elems = 2 * own->states->units};
    return true;
}

/* ---- running ---- */

/* The results of both convolutions, and states for rows without states. */
static bool conv_lstm_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    const struct conv_lstm *own = layer->own;
    (void)in;
    if (layer->built)
        aux->once = 2 * own->gates.timesteps * own->gates.width + 2 * own->states->units;
    return true;
}

/* Run a convolution on one frame. */
static void run_conv(const struct layer *conv, const struct layer_run *outer, const struct layer_shape *shape,
                     const float *x, const struct layer_shape *out_shape, float *out)
{
    const struct layer_view in = {.at = (float *)x, .timesteps = shape->timesteps, .stride = shape->width};
    struct layer_view to = {.at = out, .timesteps = out_shape->timesteps, .stride = out_shape->width};
    const struct layer_view *const inputs[] = {&in};
    struct rnn_row none = {.states = NULL};
    struct layer_run run = {.in = inputs,
                            .in_shapes = shape,
                            .out = &to,
                            .out_shape = out_shape,
                            .n_inputs = 1,
                            .n = 1,
                            .rows = &none,
                            .arena = outer->arena};
    layer_conv.run(conv, &run);
}

/* Compute h and c [cells][filters] from the results of both convolutions [cells][i f c o]. */
static void step(const struct layer *layer, float *x, const float *recurrent, float *h, float *c)
{
    const struct conv_lstm *own = layer->own;
    size_t filters = own->filters, cells = own->states->units / filters;
    for (size_t k = 0; k < cells; k++, x += GATES * filters, recurrent += GATES * filters) {
        for (size_t i = 0; i < GATES * filters; i++)
            x[i] += recurrent[i];
        vec_activate(layer->vec, &own->recurrent_activation, 2 * filters, x);
        vec_activate(layer->vec, &own->activation, filters, x + 2 * filters);
        vec_activate(layer->vec, &own->recurrent_activation, filters, x + 3 * filters);
        float *hidden = h + k * filters, *carry = c + k * filters;
        for (size_t i = 0; i < filters; i++)
            hidden[i] = carry[i] = x[filters + i] * carry[i] + x[i] * x[2 * filters + i];
        vec_activate(layer->vec, &own->activation, filters, hidden);
        for (size_t i = 0; i < filters; i++)
            hidden[i] *= x[3 * filters + i];
    }
}

/* Run one row. A masked timestep keeps the states and repeats the previous output, or zeros if there is none. */
static void run_row(const struct layer *layer, const struct layer_run *run, size_t b)
{
    const struct conv_lstm *own = layer->own;
    const struct layer_view *in = &run->in[0][b];
    size_t n = own->states->units, gates = own->gates.timesteps * own->gates.width;
    float *x = run->aux, *recurrent = x + gates, *h = recurrent + gates, *out = run->out[b].at;
    if (run->rows[b].states)
        h = run->rows[b].states;
    else
        memset(h, 0, 2 * n * sizeof *h);
    struct layer_shape state = own->gates;
    layer_set_features(&state, own->filters);
    bool stepped = run->rows[b].states && run->rows[b].stepped;
    for (size_t s = 0; s < in->timesteps; s++) {
        size_t t = own->go_backwards ? in->timesteps - 1 - s : s;
        bool counts = !in->mask || in->mask[t * in->mask_stride];
        if (counts) {
            run_conv(&own->input, run, &own->frame, in->at + t * in->stride, &own->gates, x);
            run_conv(&own->recurrent, run, &state, h, &own->gates, recurrent);
            step(layer, x, recurrent, h, h + n);
        }
        stepped |= counts;
        if (!own->return_sequences && s + 1 < in->timesteps)
            continue;
        if (stepped && (counts || !own->return_sequences || !own->zero_output_for_mask))
            memcpy(out, h, n * sizeof *out);
        else
            memset(out, 0, n * sizeof *out);
        out += n;
    }
}

static bool conv_lstm_run(const struct layer *layer, struct layer_run *run)
{
    for (size_t b = 0; b < run->n; b++)
        run_row(layer, run, b);
    return true;
}

const struct layer_class layer_conv_lstm = {
    .size = sizeof(struct conv_lstm),
    .masks = MASKS_PASS,
    .defaults = conv_lstm_defaults,
    .close = conv_lstm_close,
    .bytes = conv_lstm_bytes,
    .tensor = conv_lstm_tensor,
    .shape = conv_lstm_shape,
    .build = conv_lstm_build,
    .scratch = conv_lstm_scratch,
    .aux = conv_lstm_aux,
    .time = conv_lstm_time,
    .states = conv_lstm_states,
    .run = conv_lstm_run,
};

/* ---- one state as an output ---- */

static enum rnn_status frame_state_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                         struct layer_shape *out, struct rnn_error *err)
{
    size_t axes[LAYER_MAX_AXES], n = layer_axes(&in[1], axes);
    (void)sequences;
    const struct frame_state *own = layer->own;
    size_t first = own->sequences;
    if (n < first + 2 || !layer_shape_of(n - first, axes + first, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": expected the output of a ConvLSTM", layer->name);
    return RNN_OK;
}

static bool frame_state_run(const struct layer *layer, struct layer_run *run)
{
    const struct frame_state *own = layer->own;
    size_t n = run->in_shapes[0].width / 2;
    for (size_t b = 0; b < run->n; b++)
        memcpy(run->out[b].at, run->in[0][b].at + own->index * n, n * sizeof(float));
    return true;
}

const struct layer_class layer_frame_state = {
    .size = sizeof(struct frame_state),
    .masks = MASKS_STOP,
    .pointwise = true,
    .most_inputs = 2,
    .shape = frame_state_shape,
    .run = frame_state_run,
};
