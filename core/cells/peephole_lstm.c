/* PeepholeLSTMCell: an LSTM whose gates also depend on the cell state: i and f on the old c, o on the new c. Source:
   TensorFlow Addons, rnn/peephole_lstm_cell.py; Gers, Schraudolph and Schmidhuber, "Learning Precise Timing with LSTM
   Recurrent Networks", 2002. */
#include "cell.h"

#include <stdlib.h>

static const char *const state_names[] = {"h", "c"};

/* The weights from the cell state to the gates i, f and o: [3, units]; and the function of the new cell state. */
struct peephole {
    float *weights;
    struct activation output;
};

static size_t peephole_tensors(const struct rnn_cell_spec *spec, struct cell_tensor *out)
{
    static const char *const names[] = {"input_gate_peephole_weights", "forget_gate_peephole_weights",
                                        "output_gate_peephole_weights"};
    for (size_t i = 0; i < 3; i++)
        out[i] = (struct cell_tensor){names[i], CELL_MORE + i, 1, {spec->units, 0}, &spec->kernel_initializer};
    return 3;
}

static enum rnn_status peephole_init(struct rnn_cell *cell, const struct rnn_cell_spec *spec,
                                     const float *const *tensors, struct rnn_error *err)
{
    const size_t elements[] = {spec->units, spec->units, spec->units};
    struct peephole *own = cell->own;
    enum rnn_status status = cell_pack_recurrent(cell, &cell->recurrent, tensors, 0, 4, err);
    if (status)
        return status;
    own->output = spec->has_output_activation ? spec->output_activation : spec->activation;
    own->weights = cell_copy(tensors + CELL_MORE, elements, 3, err);
    return own->weights ? RNN_OK : RNN_ENOMEM;
}

static void combine_with_peepholes(const struct rnn_cell *cell, const float *z, float *c, float *h, float *gates)
{
    const struct peephole *own = cell->own;
    size_t units = cell->units;
    const float *p_i = own->weights, *p_f = p_i + units, *p_o = p_f + units;
    float *i = gates, *f = i + units, *g = f + units, *o = g + units;
    for (size_t gate = 0; gate < 4; gate++)
        cell_gate(&cell->kernel, z, gate, gates + gate * units);
    for (size_t u = 0; u < units; u++) {
        i[u] += p_i[u] * c[u];
        f[u] += p_f[u] * c[u];
    }
    vec_activate(cell->vec, &cell->recurrent_activation, units, i);
    vec_activate(cell->vec, &cell->recurrent_activation, units, f);
    vec_activate(cell->vec, &cell->activation, units, g);
    for (size_t u = 0; u < units; u++) {
        h[u] = c[u] = f[u] * c[u] + i[u] * g[u];
        o[u] += p_o[u] * c[u];
    }
    vec_activate(cell->vec, &cell->recurrent_activation, units, o);
    vec_activate(cell->vec, &own->output, units, h);
    for (size_t u = 0; u < units; u++)
        h[u] *= o[u];
}

static void peephole_step(const struct rnn_cell *cell, const struct cell_step *s)
{
    size_t stride = cell->padded_units, columns = packed_columns(&cell->kernel);
    cell_accumulate(cell, &cell->recurrent, s->rows, s->h_prev, s->z);
    for (size_t r = 0; r < s->rows; r++)
        combine_with_peepholes(cell, s->z + r * columns, s->c + r * stride, s->h + r * stride, s->scratch);
}

static void peephole_close(void *own)
{
    struct peephole *peephole = own;
    free(peephole->weights);
}

static size_t peephole_bytes(const struct rnn_cell *cell)
{
    return 3 * cell->units * sizeof(float);
}

const struct cell_class cell_peephole_lstm = {
    .keras_name = "PeepholeLSTMCell",
    .gates = 4,
    .states = 2,
    .has_recurrent_activation = true,
    .has_unit_forget_bias = true,
    .more_tensors = peephole_tensors,
    .state_names = state_names,
    .own_bytes = sizeof(struct peephole),
    .init = peephole_init,
    .step = peephole_step,
    .close = peephole_close,
    .bytes = peephole_bytes,
};
