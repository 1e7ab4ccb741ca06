/* Packing of weight matrices into panels, and rounding to the smaller formats. */
#include "packed.h"

#include "arena.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static const char *const format_names[] = {
    [PACKED_FLOAT32] = "float32", [PACKED_BF16] = "bf16", [PACKED_INT8] = "int8"};

const char *packed_format_name(enum packed_format format)
{
    return format_names[format];
}

bool packed_format_find(const char *name, enum packed_format *format)
{
    for (size_t i = 0; i < sizeof format_names / sizeof *format_names; i++)
        if (!strcmp(name, format_names[i])) {
            *format = (enum packed_format)i;
            return true;
        }
    return false;
}

/* Source: the conversion of float32 to bfloat16 in tensorflow/tsl/lib/core and PyTorch's c10/util/BFloat16.h. */
static uint16_t to_bf16(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

/* Write column j of the panel whose first column is `first`. */
static void pack_column(struct packed *p, size_t first, size_t width, size_t j, const float *from, size_t row_stride)
{
    float largest = 0;
    for (size_t k = 0; p->format == PACKED_INT8 && k < p->depth; k++)
        largest = fmaxf(largest, fabsf(from[k * row_stride]));
    float scale = largest / 127;
    if (p->format == PACKED_INT8)
        p->scales[first + j] = scale;
    for (size_t k = 0; k < p->depth; k++) {
        float weight = from[k * row_stride];
        size_t at = packed_index(p, first, width, k, j);
        if (p->format == PACKED_INT8)
            ((int8_t *)p->data)[at] = (int8_t)(scale > 0 ? lrintf(fminf(fmaxf(weight / scale, -127), 127)) : 0);
        else if (p->format == PACKED_BF16)
            ((uint16_t *)p->data)[at] = to_bf16(weight);
        else
            ((float *)p->data)[at] = weight;
    }
}

enum rnn_status packed_init(struct packed *packed, const float *matrix, size_t depth, size_t row_stride,
                            size_t first_gate, size_t gates, size_t units, size_t lanes, enum packed_format format,
                            struct rnn_error *err)
{
    if (!lanes)
        lanes = units;
    struct packed p = {.depth = depth, .units = units, .gates = gates, .lanes = lanes, .format = format};
    p.vectors = (units + lanes - 1) / lanes * gates;
    p.panel = gates > 1 ? gates : PACKED_PANEL;
    size_t n;
    if (!rnn_size_mul(packed_depth(&p), packed_columns(&p), &n) ||
        !(p.data = rnn_alloc(n, packed_weight_bytes(format))) ||
        !(p.scales = rnn_alloc(format == PACKED_INT8 ? packed_columns(&p) : 1, sizeof(float)))) {
        packed_close(&p);
        return rnn_fail(err, RNN_ENOMEM, "out of memory for a weight matrix of %zu x %zu units with %zu gates", depth,
                        units, gates);
    }
    for (size_t gate = 0; gate < gates; gate++)
        for (size_t unit = 0; unit < units; unit++) {
            size_t column = packed_column(&p, gate, unit);
            size_t vector = column / lanes, first = vector / p.panel * p.panel;
            size_t width = p.vectors - first < p.panel ? p.vectors - first : p.panel;
            pack_column(&p, first * lanes, width * lanes, column - first * lanes,
                        matrix + (first_gate + gate) * units + unit, row_stride);
        }
    *packed = p;
    return RNN_OK;
}

void packed_borrow(struct packed *packed, size_t depth, size_t units, size_t lanes, float *data)
{
    size_t width = lanes ? lanes : units;
    *packed = (struct packed){.depth = depth,
                              .units = units,
                              .gates = 1,
                              .lanes = width,
                              .vectors = (units + width - 1) / width,
                              .panel = PACKED_PANEL,
                              .data = data,
                              .scales = data};
}

/* A position in a walk over all panels: the first column, the number of columns, and how many of them are units (the
   others are padding). */
struct columns {
    size_t first, width, units;
};

static bool next_panel(const struct packed *packed, struct columns *panel)
{
    size_t columns = packed_columns(packed), most = packed->panel * packed->lanes;
    panel->first += panel->width;
    panel->width = columns - panel->first < most ? columns - panel->first : most;
    panel->units = packed->units - panel->first < panel->width ? packed->units - panel->first : panel->width;
    return panel->width > 0;
}

void packed_fill(const struct packed *packed, const float *rows, size_t stride)
{
    float *out = packed->data;
    for (struct columns panel = {0}; next_panel(packed, &panel);)
        for (size_t k = 0; k < packed->depth; k++, out += panel.width) {
            memcpy(out, rows + k * stride + panel.first, panel.units * sizeof *out);
            memset(out + panel.units, 0, (panel.width - panel.units) * sizeof *out);
        }
}

void packed_fill_columns(const struct packed *packed, const float *columns, size_t stride)
{
    float *out = packed->data;
    for (struct columns panel = {0}; next_panel(packed, &panel);)
        for (size_t k = 0; k < packed->depth; k++, out += panel.width) {
            const float *from = columns + panel.first * stride + k;
            for (size_t j = 0; j < panel.units; j++)
                out[j] = from[j * stride];
            memset(out + panel.units, 0, (panel.width - panel.units) * sizeof *out);
        }
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
    return packed_depth(packed) * packed_columns(packed) * packed_weight_bytes(packed->format) +
           (packed->format == PACKED_INT8 ? packed_columns(packed) * sizeof(float) : 0);
}

void packed_close(struct packed *packed)
{
    free(packed->data);
    free(packed->scales);
    *packed = (struct packed){0};
}
