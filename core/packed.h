/* A weight matrix laid out for the step loops: panels of units with all their gates side by side. */
#ifndef RNN_PACKED_H
#define RNN_PACKED_H

#include "arena.h"
#include "status.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* How weights are stored; sums and states are float32 whatever they are.
   BF16: the upper half of a float32, rounded to nearest even. INT8: -127..127 times a scale of the column, which is
   its largest magnitude / 127. */
enum packed_format { PACKED_FLOAT32, PACKED_BF16, PACKED_INT8 };

/* "float32", "bf16", "int8"; find is false for any other name. */
const char *packed_format_name(enum packed_format format);
bool packed_format_find(const char *name, enum packed_format *format);

static inline size_t packed_weight_bytes(enum packed_format format)
{
    return format == PACKED_INT8 ? sizeof(int8_t) : format == PACKED_BF16 ? sizeof(uint16_t) : sizeof(float);
}

/**
 * The matrix [depth, gates * units] of a cell, gate by gate as Keras stores it, re-laid once at load.
 *
 * A *vector* is `lanes` neighbouring units of one gate. Vectors are ordered by unit, then by gate, so that the gates of
 * a unit lie side by side. A *panel* is up to PACKED_PANEL vectors: the gates of one vector of units, or, with a single
 * gate, several vectors of units; the last panel may be narrower. In memory: panel, then depth, then vector, then lane.
 * Lanes beyond `units` are zero. Two bf16 weights that are neighbours in depth share 32 bits, so that a load need not
 * spread them over lanes.
 *
 * The same order of columns (vector, lane) is that of pre-activations z: see packed_column().
 */
struct packed {
    size_t depth, units, gates, lanes;
    size_t vectors; /* the total number of vectors */
    size_t panel;   /* the vectors of a full panel */
    enum packed_format format;
    void *data;
    float *scales; /* of int8: one for each column, in the packed order */
};

#define PACKED_PANEL 4

static inline size_t packed_panels(const struct packed *p)
{
    return (p->vectors + p->panel - 1) / p->panel;
}

/* packed_group: the weights of a column that are stored together. packed_depth: the depth, rounded up to whole
   groups. */
static inline size_t packed_group(enum packed_format format)
{
    return format == PACKED_BF16 ? 2 : 1;
}

static inline size_t packed_depth(const struct packed *p)
{
    return rnn_round_up(p->depth, packed_group(p->format));
}

/* The index of the weight at depth k of column j of a panel. The panel begins with column `first` and has `width`
   columns. */
static inline size_t packed_index(const struct packed *p, size_t first, size_t width, size_t k, size_t j)
{
    size_t group = packed_group(p->format);
    return first * packed_depth(p) + k / group * group * width + j * group + k % group;
}

/* The address of weight i. */
static inline const void *packed_at(const struct packed *p, size_t i)
{
    return (const char *)p->data + i * packed_weight_bytes(p->format);
}

/* The value of weight i; of int8 without its scale. */
static inline float packed_weight(const struct packed *p, size_t i)
{
    if (p->format == PACKED_INT8)
        return ((const int8_t *)p->data)[i];
    if (p->format == PACKED_FLOAT32)
        return ((const float *)p->data)[i];
    union {
        uint32_t bits;
        float value;
    } wide = {.bits = (uint32_t)((const uint16_t *)p->data)[i] << 16};
    return wide.value;
}

/* Floats of one row of pre-activations. */
static inline size_t packed_columns(const struct packed *p)
{
    return p->vectors * p->lanes;
}

/* The index of gate g of unit u in a row of pre-activations. */
static inline size_t packed_column(const struct packed *p, size_t gate, size_t unit)
{
    return ((unit / p->lanes) * p->gates + gate) * p->lanes + unit % p->lanes;
}

/**
 * Pack `gates` gates of a Keras matrix.
 *
 * matrix  [depth, row_stride]; the first gate to take begins at column first_gate * units. Borrowed.
 * lanes   units of a vector; 0 takes all units as one vector, which is Keras's own layout.
 * Returns RNN_ENOMEM if out of memory; then, and after packed_close, the struct is all zeros.
 */
enum rnn_status packed_init(struct packed *packed, const float *matrix, size_t depth, size_t row_stride,
                            size_t first_gate, size_t gates, size_t units, size_t lanes, enum packed_format format,
                            struct rnn_error *err);

/* A float32 matrix [depth, units] in the caller's memory `data` [depth * packed_width(units, lanes)]; do not close it.
   Fill it from its rows [depth][units], or from its columns [units][depth], which are `stride` floats apart. */
void packed_borrow(struct packed *packed, size_t depth, size_t units, size_t lanes, float *data);
void packed_fill(const struct packed *packed, const float *rows, size_t stride);
void packed_fill_columns(const struct packed *packed, const float *columns, size_t stride);

/* The columns of a matrix of one gate: the units, rounded up to whole vectors. */
static inline size_t packed_width(size_t units, size_t lanes)
{
    return lanes ? rnn_round_up(units, lanes) : units;
}

/* A row of biases in the same column order, padded with zeros; bias NULL gives zeros. NULL when out of memory. */
float *packed_row(const struct packed *shape, const float *bias);

/* The bytes of the packed matrix, including the scales. */
size_t packed_bytes(const struct packed *packed);

void packed_close(struct packed *packed);

#endif
