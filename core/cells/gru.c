/* GRUCell, gates z r h: h' = z h + (1 - z) act(candidate). With reset_after (Keras's default) the candidate is
   x K + b0 + r (h U + b1), else x K + b + (r h) U. Source: keras/layers/rnn/gru.py; Cho et al., "Learning Phrase
   Representations using RNN Encoder-Decoder", 2014. */
#include "cell.h"

#include "core/arena.h"

#include <stdlib.h>
#include <string.h>

static const char *const state_names[] = {"h"};

/* The weights of a GRU that other cells do not have. */
struct gru {
    bool reset_after;
    struct packed candidate; /* without reset_after: the part of the recurrent kernel for the candidate */
    float *start;            /* the initial value of the sum h U: the recurrent bias, or zeros */
};

static size_t gru_bias_rows(const struct rnn_cell_spec *spec)
{
    return spec->reset_after ? 2 : 0;
}

/* The recurrent bias of z and r is always added to x K + b, so it is added to the input bias here. The candidate's
   recurrent bias is multiplied by r, so it stays separate: a row in the order of the recurrent weights. */
static void split_bias(struct rnn_cell *cell, const float *bias)
{
    const struct gru *gru = cell->own;
    size_t units = cell->units;
    for (size_t u = 0; bias && u < units; u++) {
        for (size_t gate = 0; gate < 2; gate++)
            cell->start[packed_column(&cell->kernel, gate, u)] += bias[(3 + gate) * units + u];
        gru->start[packed_column(&cell->kernel, 2, u)] = bias[5 * units + u];
    }
}

static enum rnn_status gru_init(struct rnn_cell *cell, const struct rnn_cell_spec *spec, const float *const *tensors,
                                struct rnn_error *err)
{
    struct gru *gru = cell->own;
    cell->fused = cell->vec->gru_after && cell_activates(cell);
    gru->reset_after = spec->reset_after;
    gru->start = packed_row(&cell->kernel, NULL);
    if (!gru->start)
        return rnn_fail(err, RNN_ENOMEM, "out of memory for the bias of %zu units", cell->units);
    if (spec->reset_after) {
        cell->splits = cell->fused;
        split_bias(cell, tensors[CELL_BIAS]);
        return cell_pack_recurrent(cell, &cell->recurrent, tensors, 0, 3, err);
    }
    enum rnn_status status = cell_pack_recurrent(cell, &cell->recurrent, tensors, 0, 2, err);
    return status ? status : cell_pack_recurrent(cell, &gru->candidate, tensors, 2, 1, err);
}

/* q = the whole recurrent product with its bias; then one row at a time. */
static void step_after(const struct rnn_cell *cell, const struct cell_step *s)
{
    const struct gru *gru = cell->own;
    size_t units = cell->units, columns = packed_columns(&cell->kernel), stride = cell->padded_units;
    float *q = s->scratch, *gates = s->scratch + s->rows * columns;
    cell->vec->product(&cell->recurrent, vec_all(&cell->recurrent), s->rows, s->h_prev, stride, gru->start, 0, q);
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

/* Two products: first z and r, then the candidate from r h. The scratch has for each row the product of two gates, and
   later that of the candidate. Until the candidate is computed, r h is stored in h, and z in the row's
   pre-activations. */
static void step_before(const struct rnn_cell *cell, const struct cell_step *s)
{
    const struct gru *gru = cell->own;
    size_t units = cell->units, columns = packed_columns(&cell->kernel), stride = cell->padded_units;
    const struct packed *two = &cell->recurrent, *one = &gru->candidate;
    size_t two_columns = packed_columns(two), one_columns = packed_columns(one);
    float *q = s->scratch, *gate = s->scratch + s->rows * columns;
    memset(q, 0, s->rows * two_columns * sizeof *q);
    cell_accumulate(cell, two, s->rows, s->h_prev, q);
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
    cell_accumulate(cell, one, s->rows, s->h, q);
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

static void step_fused(const struct rnn_cell *cell, const struct cell_step *s)
{
    const struct gru *gru = cell->own;
    struct vec_step step = cell_vec_step(cell, s);
    step.start = gru->start;
    if (gru->reset_after) {
        cell->vec->gru_after(&step, s->span);
        return;
    }
    cell->vec->gru_gates(&step, s->span);
    step.u = &gru->candidate;
    cell->vec->gru_candidate(&step, vec_all(step.u));
}

static void gru_step(const struct rnn_cell *cell, const struct cell_step *s)
{
    const struct gru *gru = cell->own;
    if (cell->fused)
        step_fused(cell, s);
    else if (gru->reset_after)
        step_after(cell, s);
    else
        step_before(cell, s);
}

static void gru_close(void *own)
{
    struct gru *gru = own;
    packed_close(&gru->candidate);
    free(gru->start);
}

static size_t gru_bytes(const struct rnn_cell *cell)
{
    const struct gru *gru = cell->own;
    return packed_bytes(&gru->candidate) + packed_columns(&cell->kernel) * sizeof *gru->start;
}

const struct cell_class cell_gru = {
    .keras_name = "GRUCell",
    .layer_name = "GRU",
    .gates = 3,
    .states = 1,
    .has_recurrent_activation = true,
    .has_reset_after = true,
    .bias_rows = gru_bias_rows,
    .state_names = state_names,
    .own_bytes = sizeof(struct gru),
    .init = gru_init,
    .step = gru_step,
    .close = gru_close,
    .bytes = gru_bytes,
};
