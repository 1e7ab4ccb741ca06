/* A Bidirectional around a ConvLSTM: runs both directions and merges their outputs. Source:
   keras/layers/rnn/bidirectional.py. */
#include "conv_lstm_both.h"

#include <string.h>

static const struct conv_lstm *frames_of(const struct conv_lstm_both *own, size_t direction)
{
    return own->directions[direction].own;
}

static bool both_tensor(const struct layer *layer, const struct layer_shape *in, size_t i, struct layer_tensor *out)
{
    static const struct {
        const char *name, *below;
    } sides[] = {{"forward.", "forward_layer/cell/"}, {"backward.", "backward_layer/cell/"}};
    const struct conv_lstm_both *own = layer->own;
    size_t each = frames_of(own, 0)->use_bias ? 3 : 2, side = i / each;
    struct layer_tensor inner;
    if (side > 1 || !layer_tensor_at(&own->directions[side], in, i % each, &inner))
        return false;
    *out = inner;
    out->below = sides[side].below;
    out->below_first = side * each;
    memcpy(out->name, sides[side].name, strlen(sides[side].name));
    memcpy(out->name + strlen(sides[side].name), inner.name, strlen(inner.name) + 1);
    return true;
}

static enum rnn_status both_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                  struct layer_shape *out, struct rnn_error *err)
{
    const struct conv_lstm_both *own = layer->own;
    size_t filters = frames_of(own, 0)->filters;
    enum rnn_status status = layer_conv_lstm.shape(&own->directions[0], in, sequences, out, err);
    struct layer_shape other = *out;
    if (!status)
        status = layer_conv_lstm.shape(&own->directions[1], in, sequences, &other, err);
    if (status)
        return status;
    if (other.timesteps != out->timesteps || other.width != out->width)
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its directions give frames of different sizes", layer->name);
    if (own->merge == MERGE_CONCAT && !layer_set_features(out, 2 * filters))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    return RNN_OK;
}

static enum rnn_status both_build(struct layer *layer, const struct layer_shape *in, const float *const *tensors,
                                  struct rnn_error *err)
{
    struct conv_lstm_both *own = layer->own;
    size_t each = frames_of(own, 0)->use_bias ? 3 : 2;
    enum rnn_status status = RNN_OK;
    for (size_t i = 0; i < 2 && !status; i++) {
        own->directions[i].format = layer->format;
        status = layer_build(&own->directions[i], in, tensors + i * each, layer->vec, err);
    }
    return status;
}

static void both_close(void *own)
{
    struct conv_lstm_both *both = own;
    for (size_t i = 0; i < 2; i++)
        if (both->directions[i].class)
            layer_close(&both->directions[i]);
}

static size_t both_bytes(const struct layer *layer)
{
    const struct conv_lstm_both *own = layer->own;
    return layer_bytes(&own->directions[0]) + layer_bytes(&own->directions[1]);
}

static bool both_scratch(const struct layer *layer, size_t rows, size_t *bytes)
{
    const struct conv_lstm_both *own = layer->own;
    size_t other;
    if (!layer_conv_lstm.scratch(&own->directions[0], rows, bytes) ||
        !layer_conv_lstm.scratch(&own->directions[1], rows, &other))
        return false;
    *bytes = other > *bytes ? other : *bytes;
    return true;
}

/* The work space of a direction, then the outputs of both directions for one row. */
static bool both_aux(const struct layer *layer, const struct layer_shape *in, struct layer_aux *aux)
{
    const struct conv_lstm_both *own = layer->own;
    struct layer_aux inner[2] = {{0}};
    size_t floats;
    if (!layer->built)
        return true;
    for (size_t i = 0; i < 2; i++)
        if (!layer_conv_lstm.aux(&own->directions[i], in, &inner[i]))
            return false;
    aux->once = inner[inner[1].once > inner[0].once].once;
    return rnn_size_mul(frames_of(own, 0)->states->units, 2, &floats) &&
           rnn_size_mul(floats, frames_of(own, 0)->return_sequences ? in->timesteps : 1, &floats) &&
           rnn_size_add(aux->once, floats, &aux->once);
}

static float merged(enum merge_mode mode, float a, float b)
{
    return mode == MERGE_MUL ? a * b : mode == MERGE_AVE ? (a + b) / 2 : a + b;
}

/* Merge one frame of both directions. */
static void merge_frames(const struct conv_lstm_both *own, const float *forward, const float *backward, float *out)
{
    size_t filters = frames_of(own, 0)->filters, n = frames_of(own, 0)->states->units;
    for (size_t i = 0; i < n && own->merge != MERGE_CONCAT; i++)
        out[i] = merged(own->merge, forward[i], backward[i]);
    for (size_t i = 0; i < n && own->merge == MERGE_CONCAT; i += filters, out += 2 * filters) {
        memcpy(out, forward + i, filters * sizeof *out);
        memcpy(out + filters, backward + i, filters * sizeof *out);
    }
}

static void run_row(const struct layer *layer, const struct layer_run *run, size_t b)
{
    const struct conv_lstm_both *own = layer->own;
    struct layer_aux aux = {0};
    struct layer_view in = run->in[0][b];
    const struct layer_view *const inputs[] = {&in};
    struct layer_shape shape = run->in_shapes[0];
    size_t n = frames_of(own, 0)->states->units;
    shape.timesteps = in.timesteps;
    both_aux(layer, &shape, &aux);
    size_t steps = frames_of(own, 0)->return_sequences ? in.timesteps : 1;
    float *given[2] = {run->aux + aux.once - 2 * n * steps, run->aux + aux.once - n * steps};
    for (size_t i = 0; i < 2; i++) {
        struct rnn_row row = {.states = NULL};
        struct layer_view out = {.at = given[i], .timesteps = steps, .stride = n};
        struct layer_run inner = *run;
        inner.in = inputs;
        inner.in_shapes = &shape;
        inner.out = &out;
        inner.rows = &row;
        inner.n = 1;
        layer_conv_lstm.run(&own->directions[i], &inner);
    }
    float *out = run->out[b].at;
    size_t width = own->merge == MERGE_CONCAT ? 2 * n : n;
    for (size_t t = 0; t < steps; t++)
        merge_frames(own, given[0] + t * n, given[1] + (steps - 1 - t) * n, out + t * width);
}

static bool both_run(const struct layer *layer, struct layer_run *run)
{
    for (size_t b = 0; b < run->n; b++)
        run_row(layer, run, b);
    return true;
}

const struct layer_class layer_conv_lstm_both = {
    .size = sizeof(struct conv_lstm_both),
    .masks = MASKS_PASS,
    .close = both_close,
    .bytes = both_bytes,
    .tensor = both_tensor,
    .shape = both_shape,
    .build = both_build,
    .scratch = both_scratch,
    .aux = both_aux,
    .run = both_run,
};
