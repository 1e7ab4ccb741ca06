/* LayerNormLSTMCell: z = LN(x K) + LN(h U) + b, each LN over all four gates; c' = LN(f c + i act(z_c)), h' = o act(c').
   Source: TensorFlow Addons, rnn/layer_norm_lstm_cell.py; Ba, Kiros and Hinton, "Layer Normalization", 2016. */
#include "cell.h"

#include "core/normalize.h"

#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {"h", "c"};

/* gamma and beta of the three normalizations, followed by the bias: [18 or 22, units]. */
struct layer_norm_lstm {
    float *weights;
    bool use_bias;
    double epsilon;
};

enum { KERNEL_NORM, RECURRENT_NORM, STATE_NORM };

static size_t layer_norm_lstm_tensors(const struct rnn_cell_spec *spec, struct cell_tensor *out)
{
    static const char *const names[] = {"kernel_norm.gamma",   "kernel_norm.beta", "recurrent_norm.gamma",
                                        "recurrent_norm.beta", "state_norm.gamma", "state_norm.beta"};
    for (size_t i = 0; i < 6; i++)
        out[i] = (struct cell_tensor){names[i],
                                      CELL_MORE + i,
                                      1,
                                      {(i / 2 == STATE_NORM ? 1 : 4) * spec->units, 0},
                                      i % 2 ? &spec->beta_initializer : &spec->gamma_initializer};
    return 6;
}

static enum rnn_status layer_norm_lstm_init(struct rnn_cell *cell, const struct rnn_cell_spec *spec,
                                            const float *const *tensors, struct rnn_error *err)
{
    struct layer_norm_lstm *own = cell->own;
    size_t u = spec->units;
    const size_t elements[] = {4 * u, 4 * u, 4 * u, 4 * u, u, u, 4 * u};
    const float *kept[7] = {[6] = tensors[CELL_BIAS]};
    memcpy(kept, tensors + CELL_MORE, 6 * sizeof *kept);
    memset(cell->start, 0, packed_columns(&cell->kernel) * sizeof *cell->start); /* the bias comes after the norm */
    enum rnn_status status = cell_pack_recurrent(cell, &cell->recurrent, tensors, 0, 4, err);
    if (status)
        return status;
    own->use_bias = tensors[CELL_BIAS];
    own->epsilon = (double)(float)spec->epsilon;
    own->weights = cell_copy(kept, elements, 7, err);
    return own->weights ? RNN_OK : RNN_ENOMEM;
}

static void gates_of(const struct rnn_cell *cell, const float *z, float *gates)
{
    for (size_t gate = 0; gate < 4; gate++)
        cell_gate(&cell->kernel, z, gate, gates + gate * cell->units);
}

/* Normalize n values with gamma and beta of one of the three normalizations. */
static void normalize_vector(const struct rnn_cell *cell, int which, float *x)
{
    const struct layer_norm_lstm *own = cell->own;
    size_t n = (which == STATE_NORM ? 1 : 4) * cell->units;
    const float *gamma = own->weights + (size_t)which * 8 * cell->units;
    layer_normalize(n, x, gamma, gamma + n, own->epsilon);
}

static void combine_normalized(const struct rnn_cell *cell, const float *z, const float *q, float *c, float *h,
                               float *scratch)
{
    const struct layer_norm_lstm *own = cell->own;
    size_t units = cell->units;
    const float *bias = own->use_bias ? own->weights + 18 * units : NULL;
    float *gates = scratch, *recurrent = gates + 4 * units;
    float *i = gates, *f = i + units, *g = f + units, *o = g + units;
    gates_of(cell, z, gates);
    gates_of(cell, q, recurrent);
    normalize_vector(cell, KERNEL_NORM, gates);
    normalize_vector(cell, RECURRENT_NORM, recurrent);
    for (size_t k = 0; k < 4 * units; k++)
        gates[k] += recurrent[k] + (bias ? bias[k] : 0);
    for (size_t gate = 0; gate < 4; gate++)
        vec_activate(cell->vec, gate == 2 ? &cell->activation : &cell->recurrent_activation, units,
                     gates + gate * units);
    for (size_t u = 0; u < units; u++)
        c[u] = f[u] * c[u] + i[u] * g[u];
    normalize_vector(cell, STATE_NORM, c);
    memcpy(h, c, units * sizeof *h);
    vec_activate(cell->vec, &cell->activation, units, h);
    for (size_t u = 0; u < units; u++)
        h[u] *= o[u];
}

/* One row at a time. The scratch has the recurrent product of a row, and two times four gates. */
static void layer_norm_lstm_step(const struct rnn_cell *cell, const struct cell_step *s)
{
    size_t stride = cell->padded_units, columns = packed_columns(&cell->kernel);
    float *q = s->scratch;
    for (size_t r = 0; r < s->rows; r++) {
        memset(q, 0, columns * sizeof *q);
        cell_accumulate(cell, &cell->recurrent, 1, s->h_prev + r * stride, q);
        combine_normalized(cell, s->z + r * columns, q, s->c + r * stride, s->h + r * stride, q + columns);
    }
}

static void layer_norm_lstm_close(void *own)
{
    struct layer_norm_lstm *lstm = own;
    free(lstm->weights);
}

static size_t layer_norm_lstm_bytes(const struct rnn_cell *cell)
{
    const struct layer_norm_lstm *own = cell->own;
    return (own->use_bias ? 22 : 18) * cell->units * sizeof *own->weights;
}

const struct cell_class cell_layer_norm_lstm = {
    .keras_name = "LayerNormLSTMCell",
    .gates = 4,
    .states = 2,
    .has_recurrent_activation = true,
    .has_unit_forget_bias = true,
    .more_tensors = layer_norm_lstm_tensors,
    .state_names = state_names,
    .own_bytes = sizeof(struct layer_norm_lstm),
    .init = layer_norm_lstm_init,
    .step = layer_norm_lstm_step,
    .close = layer_norm_lstm_close,
    .bytes = layer_norm_lstm_bytes,
};
