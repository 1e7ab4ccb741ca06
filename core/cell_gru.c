/* GRUCell, gates z r h: h' = z h + (1 - z) act(candidate). With reset_after (Keras's default) the candidate is
   x K + b0 + r (h U + b1), else x K + b + (r h) U. Source: keras/layers/rnn/gru.py; Cho et al., "Learning Phrase
   Representations using RNN Encoder-Decoder", 2014. */
#include "cell.h"

#include "arena.h"

#include <string.h>

static size_t bias_rows(const struct rnn_cell_spec *spec)
{
    return spec->reset_after ? 2 : 0;
}

/* The recurrent bias of z and r is only ever added to x K + b, so it joins the input bias; that of the candidate
   is multiplied by r and stays apart. */
static enum rnn_status init_after(struct rnn_cell *cell, size_t units, const float *recurrent_kernel, const float *bias,
                                  struct rnn_error *err)
{
    size_t lanes = cell->vec->lanes;
    struct packed one = {.units = units, .gates = 1, .lanes = lanes ? lanes : units};
    one.vectors = (units + one.lanes - 1) / one.lanes;
    cell->recurrent_start = packed_row(&one, bias ? bias + 5 * units : NULL);
    if (!cell->recurrent_start)
        return rnn_fail(err, RNN_ENOMEM, "out of memory for the bias of %zu units", units);
    for (size_t gate = 0; bias && gate < 2; gate++)
        for (size_t u = 0; u < units; u++)
            cell->start[packed_column(&cell->kernel, gate, u)] += bias[(3 + gate) * units + u];
    return packed_init(&cell->recurrent, recurrent_kernel, units, 3 * units, 0, 3, units, lanes, err);
}

static enum rnn_status init(struct rnn_cell *cell, const struct rnn_cell_spec *spec, const float *const *tensors,
                            struct rnn_error *err)
{
    size_t units = spec->units;
    const float *recurrent_kernel = tensors[CELL_RECURRENT_KERNEL];
    if (spec->reset_after)
        return init_after(cell, units, recurrent_kernel, tensors[CELL_BIAS], err);
    enum rnn_status status =
        packed_init(&cell->recurrent, recurrent_kernel, units, 3 * units, 0, 2, units, cell->vec->lanes, err);
    return status ? status
                  : packed_init(&cell->recurrent_candidate, recurrent_kernel, units, 3 * units, 2, 1, units,
                                cell->vec->lanes, err);
}

/* q = the whole recurrent product with its bias; then one row at a time. */
static void step_after(const struct rnn_cell *cell, const struct cell_step *s)
{
    size_t units = cell->units, columns = packed_columns(&cell->kernel), stride = cell->padded_units;
    float *q = s->scratch, *gates = s->scratch + s->rows * columns;
    memset(q, 0, s->rows * columns * sizeof *q);
    for (size_t r = 0; r < s->rows; r++)
        for (size_t u = 0; u < units; u++)
            q[r * columns + packed_column(&cell->kernel, 2, u)] = cell->recurrent_start[u];
    cell->vec->accumulate(&cell->recurrent, s->rows, s->h_prev, stride, q);
    for (size_t r = 0; r < s->rows; r++) {
        const float *h_prev = s->h_prev + r * stride;
        float *z = gates, *reset = z + units, *candidate = reset + units, *h = s->h + r * stride;
        const float *row_q = q + r * columns, *row_z = s->z + r * columns;
        for (size_t gate = 0; gate < 2; gate++) {
            cell_gate(&cell->kernel, row_z, gate, gates + gate * units);
            for (size_t u = 0; u < units; u++)
                gates[gate * units + u] += row_q[packed_column(&cell->kernel, gate, u)];
            vec_activate(cell->vec, &cell->recurrent_activation, units, gates + gate * units);
        }
        cell_gate(&cell->kernel, row_z, 2, candidate);
        for (size_t u = 0; u < units; u++)
            candidate[u] += reset[u] * row_q[packed_column(&cell->kernel, 2, u)];
        vec_activate(cell->vec, &cell->activation, units, candidate);
        for (size_t u = 0; u < units; u++)
            h[u] = z[u] * h_prev[u] + (1 - z[u]) * candidate[u];
    }
}

/* Two dependent products: z and r first, then the candidate from r h. In the scratch: per row the product of two
   gates, later that of the candidate; r h stands in h until the candidate is known, z in the row's own z. */
static void step_before(const struct rnn_cell *cell, const struct cell_step *s)
{
    size_t units = cell->units, columns = packed_columns(&cell->kernel), stride = cell->padded_units;
    const struct packed *two = &cell->recurrent, *one = &cell->recurrent_candidate;
    size_t two_columns = packed_columns(two), one_columns = packed_columns(one);
    float *q = s->scratch, *gate = s->scratch + s->rows * columns;
    memset(q, 0, s->rows * two_columns * sizeof *q);
    cell->vec->accumulate(two, s->rows, s->h_prev, stride, q);
    for (size_t r = 0; r < s->rows; r++) {
        const float *h_prev = s->h_prev + r * stride;
        float *row_z = s->z + r * columns, *h = s->h + r * stride;
        for (size_t g = 0; g < 2; g++) {
            cell_gate(&cell->kernel, row_z, g, gate);
            for (size_t u = 0; u < units; u++)
                gate[u] += q[r * two_columns + packed_column(two, g, u)];
            vec_activate(cell->vec, &cell->recurrent_activation, units, gate);
            for (size_t u = 0; u < units; u++)
                if (g == 0)
                    row_z[packed_column(&cell->kernel, 0, u)] = gate[u];
                else
                    h[u] = gate[u] * h_prev[u];
        }
    }
    memset(q, 0, s->rows * one_columns * sizeof *q);
    cell->vec->accumulate(one, s->rows, s->h, stride, q);
    for (size_t r = 0; r < s->rows; r++) {
        const float *h_prev = s->h_prev + r * stride, *row_z = s->z + r * columns;
        float *h = s->h + r * stride;
        cell_gate(&cell->kernel, row_z, 2, gate);
        for (size_t u = 0; u < units; u++)
            gate[u] += q[r * one_columns + packed_column(one, 0, u)];
        vec_activate(cell->vec, &cell->activation, units, gate);
        for (size_t u = 0; u < units; u++) {
            float z = row_z[packed_column(&cell->kernel, 0, u)];
            h[u] = z * h_prev[u] + (1 - z) * gate[u];
        }
    }
}

static void step(const struct rnn_cell *cell, const struct cell_step *s)
{
    const struct vec_ops *vec = cell->vec;
    bool common = cell->activation.kind == ACT_TANH && cell->recurrent_activation.kind == ACT_SIGMOID;
    if (!cell->recurrent_start)
        step_before(cell, s);
    else if (common && vec->gru_step)
        vec->gru_step(&cell->recurrent, s->rows, s->h_prev, s->z, cell->recurrent_start, s->h, cell->padded_units);
    else
        step_after(cell, s);
}

const struct cell_class cell_gru = {
    .keras_name = "GRUCell",
    .layer_name = "GRU",
    .gates = 3,
    .states = 1,
    .has_recurrent_activation = true,
    .has_reset_after = true,
    .bias_rows = bias_rows,
    .init = init,
    .step = step,
};
