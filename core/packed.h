/* A weight matrix laid out for the step loops: panels of units with all their gates side by side. */
#ifndef RNN_PACKED_H
#define RNN_PACKED_H

#include "status.h"

#include <stddef.h>

/**
 * The matrix [depth, gates * units] of a cell, gate by gate as Keras stores it, re-laid once at load.
 *
 * A *vector* is `lanes` neighbouring units of one gate. Vectors are ordered by unit, then by gate, so that the
 * gates of a unit lie side by side. A *panel* is up to PACKED_PANEL vectors: the gates of one vector of units, or,
 * with a single gate, several vectors of units; the last panel may be narrower. In memory:
 * panel, then depth, then vector, then lane. Lanes beyond `units` are zero.
 *
 * The same order of columns (vector, lane) is that of pre-activations z: see packed_column().
 */
struct packed {
    size_t depth, units, gates, lanes;
    size_t vectors; /* in all */
    size_t panel;   /* vectors of a full panel */
    float *data;
};

#define PACKED_PANEL 4

/* Floats of one row of pre-activations. */
static inline size_t packed_columns(const struct packed *p)
{
    return p->vectors * p->lanes;
}

/* Where gate g of unit u stands in a row of pre-activations. */
static inline size_t packed_column(const struct packed *p, size_t gate, size_t unit)
{
    return ((unit / p->lanes) * p->gates + gate) * p->lanes + unit % p->lanes;
}

/**
 * Pack `gates` gates of a Keras matrix.
 *
 * matrix  [depth, row_stride]; column first_gate * units + … holds the first of the gates to take. Borrowed.
 * lanes   units of a vector; 0 takes all units as one vector, which is Keras's own layout.
 * RNN_ENOMEM when it cannot be allocated; then and after packed_close the struct is all zeros.
 */
enum rnn_status packed_init(struct packed *packed, const float *matrix, size_t depth, size_t row_stride,
                            size_t first_gate, size_t gates, size_t units, size_t lanes, struct rnn_error *err);

/* A row of biases in the same column order, padded with zeros; bias NULL gives zeros. NULL when out of memory. */
float *packed_row(const struct packed *shape, const float *bias);

/* Bytes that the packed matrix takes. */
size_t packed_bytes(const struct packed *packed);

void packed_close(struct packed *packed);

#endif
