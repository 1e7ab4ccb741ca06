/* Packing of weight matrices into panels. */
#include "packed.h"

#include "arena.h"

#include <stdlib.h>

enum rnn_status packed_init(struct packed *packed, const float *matrix, size_t depth, size_t row_stride,
                            size_t first_gate, size_t gates, size_t units, size_t lanes, struct rnn_error *err)
{
    if (!lanes)
        lanes = units;
    struct packed p = {.depth = depth, .units = units, .gates = gates, .lanes = lanes};
    p.vectors = (units + lanes - 1) / lanes * gates;
    p.panel = gates > 1 ? gates : PACKED_PANEL;
    size_t n;
    if (!rnn_size_mul(depth, packed_columns(&p), &n) || !(p.data = rnn_alloc(n, sizeof(float))))
        return rnn_fail(err, RNN_ENOMEM, "cannot allocate a weight matrix of %zu x %zu units with %zu gates", depth,
                        units, gates);
    for (size_t gate = 0; gate < gates; gate++)
        for (size_t unit = 0; unit < units; unit++) {
            size_t column = packed_column(&p, gate, unit);
            size_t vector = column / lanes, first = vector / p.panel * p.panel;
            size_t width = p.vectors - first < p.panel ? p.vectors - first : p.panel;
            float *to = p.data + first * lanes * depth + (column - first * lanes);
            const float *from = matrix + (first_gate + gate) * units + unit;
            for (size_t k = 0; k < depth; k++)
                to[k * width * lanes] = from[k * row_stride];
        }
    *packed = p;
    return RNN_OK;
}

float *packed_row(const struct packed *shape, const float *bias)
{
    float *row = rnn_alloc(packed_columns(shape), sizeof *row);
    if (row && bias)
        for (size_t gate = 0; gate < shape->gates; gate++)
            for (size_t unit = 0; unit < shape->units; unit++)
                row[packed_column(shape, gate, unit)] = bias[gate * shape->units + unit];
    return row;
}

size_t packed_bytes(const struct packed *packed)
{
    return packed->depth * packed_columns(packed) * sizeof(float);
}

void packed_close(struct packed *packed)
{
    free(packed->data);
    *packed = (struct packed){0};
}
