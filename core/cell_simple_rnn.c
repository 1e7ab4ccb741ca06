/* SimpleRNNCell: h' = activation(x K + h U + b). Source: keras/layers/rnn/simple_rnn.py. */
#include "cell.h"

#include <string.h>

static enum rnn_status init(struct rnn_cell *cell, const struct rnn_cell_spec *spec, const float *const *tensors,
                            struct rnn_error *err)
{
    return packed_init(&cell->recurrent, tensors[CELL_RECURRENT_KERNEL], spec->units, spec->units, 0, 1, spec->units,
                       cell->vec->lanes, err);
}

static void step(const struct rnn_cell *cell, const struct cell_step *s)
{
    const struct vec_ops *vec = cell->vec;
    if (vec->simple_rnn_step && cell->activation.kind == ACT_TANH) {
        vec->simple_rnn_step(&cell->recurrent, s->rows, s->h_prev, s->z, s->h, cell->padded_units);
        return;
    }
    vec->accumulate(&cell->recurrent, s->rows, s->h_prev, cell->padded_units, s->z);
    for (size_t r = 0; r < s->rows; r++) {
        float *h = s->h + r * cell->padded_units;
        memcpy(h, s->z + r * packed_columns(&cell->kernel), cell->units * sizeof *h);
        vec_activate(cell->vec, &cell->activation, cell->units, h);
    }
}

const struct cell_class cell_simple_rnn = {
    .keras_name = "SimpleRNNCell",
    .layer_name = "SimpleRNN",
    .gates = 1,
    .states = 1,
    .init = init,
    .step = step,
};
