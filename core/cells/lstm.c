/* LSTMCell, gates i f c o: c' = f c + i act(z_c), h' = o act(c'). Source: keras/layers/rnn/lstm.py;
   Hochreiter and Schmidhuber, "Long Short-Term Memory", 1997; forget gate of Gers et al., 2000. */
#include "cell.h"

#include <string.h>

static const char *const state_names[] = {"h", "c"};

static enum rnn_status lstm_init(struct rnn_cell *cell, const struct rnn_cell_spec *spec, const float *const *tensors,
                                 struct rnn_error *err)
{
    (void)spec;
    cell->fused = cell->splits = cell->vec->lstm && cell_activates(cell);
    return cell_pack_recurrent(cell, &cell->recurrent, tensors, 0, 4, err);
}

/* For any activations: the gates of one row are contiguous in the scratch; then they are combined in the same way. */
static void combine_gates(const struct rnn_cell *cell, const float *z, float *c, float *h, float *gates)
{
    size_t units = cell->units;
    float *i = gates, *f = i + units, *g = f + units, *o = g + units;
    for (size_t gate = 0; gate < 4; gate++) {
        cell_gate(&cell->kernel, z, gate, gates + gate * units);
        vec_activate(cell->vec, gate == 2 ? &cell->activation : &cell->recurrent_activation, units,
                     gates + gate * units);
    }
    for (size_t u = 0; u < units; u++)
        h[u] = c[u] = f[u] * c[u] + i[u] * g[u];
    vec_activate(cell->vec, &cell->activation, units, h);
    for (size_t u = 0; u < units; u++)
        h[u] *= o[u];
}

static void lstm_step(const struct rnn_cell *cell, const struct cell_step *s)
{
    size_t stride = cell->padded_units, columns = packed_columns(&cell->kernel);
    if (cell->fused) {
        const struct vec_step step = cell_vec_step(cell, s);
        cell->vec->lstm(&step, s->span);
        return;
    }
    cell_accumulate(cell, &cell->recurrent, s->rows, s->h_prev, s->z);
    for (size_t r = 0; r < s->rows; r++)
        combine_gates(cell, s->z + r * columns, s->c + r * stride, s->h + r * stride, s->scratch);
}

const struct cell_class cell_lstm = {
    .keras_name = "LSTMCell",
    .layer_name = "LSTM",
    .gates = 4,
    .states = 2,
    .has_recurrent_activation = true,
    .has_unit_forget_bias = true,
    .state_names = state_names,
    .init = lstm_init,
    .step = lstm_step,
};
