/* SimpleRNNCell: h' = activation(x K + h U + b). Source: keras/layers/rnn/simple_rnn.py. */
#include "cell.h"

#include <string.h>

static const char *const state_names[] = {"h"};

static enum rnn_status simple_rnn_init(struct rnn_cell *cell, const struct rnn_cell_spec *spec,
                                       const float *const *tensors, struct rnn_error *err)
{
    (void)spec;
    cell->fused = cell->splits = cell->vec->simple_rnn && cell_activates(cell);
    return cell_pack_recurrent(cell, &cell->recurrent, tensors, 0, 1, err);
}

static void simple_rnn_step(const struct rnn_cell *cell, const struct cell_step *s)
{
    if (cell->fused) {
        const struct vec_step step = cell_vec_step(cell, s);
        cell->vec->simple_rnn(&step, s->span);
        return;
    }
    cell_accumulate(cell, &cell->recurrent, s->rows, s->h_prev, s->z);
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
    .state_names = state_names,
    .init = simple_rnn_init,
    .step = simple_rnn_step,
};
