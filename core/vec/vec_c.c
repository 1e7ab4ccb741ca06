/* Products in plain C: complete, obvious, and the definition of correct. Gates are left to the cells. */
#include "vec.h"

/* One row: every column is summed in the order of depth. */
static void accumulate_row(const struct packed *w, const float *x, float *z)
{
    const float *panel = w->data;
    for (size_t first = 0; first < w->vectors; first += w->panel) {
        size_t vectors = w->vectors - first < w->panel ? w->vectors - first : w->panel;
        size_t width = vectors * w->lanes;
        for (size_t k = 0; k < w->depth; k++)
            for (size_t j = 0; j < width; j++)
                z[first * w->lanes + j] += x[k] * panel[k * width + j];
        panel += w->depth * width;
    }
}

static void accumulate(const struct packed *w, size_t rows, const float *x, size_t x_stride, float *z)
{
    for (size_t r = 0; r < rows; r++)
        accumulate_row(w, x + r * x_stride, z + r * packed_columns(w));
}

static void product(const struct packed *w, size_t rows, const float *x, size_t x_stride, const float *start, float *z)
{
    size_t columns = packed_columns(w);
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; j < columns; j++)
            z[r * columns + j] = start[j];
        accumulate_row(w, x + r * x_stride, z + r * columns);
    }
}

const struct vec_ops vec_c = {
    .name = "c",
    .lanes = 8,
    .product = product,
    .accumulate = accumulate,
};
