/* Products in plain C. They define the correct results. The cells compute the gates. */
#include "vec.h"

/* One row against the panels: every column is summed in the order of depth, part by part. int8 weights are scaled at the
   end of a part. */
static void product_row(const struct packed *w, struct vec_span span, const float *x, const float *from, float *z)
{
    for (size_t first = span.first * w->panel; first < w->vectors && first < span.end * w->panel; first += w->panel) {
        size_t vectors = w->vectors - first < w->panel ? w->vectors - first : w->panel;
        size_t width = vectors * w->lanes, column = first * w->lanes;
        for (size_t j = 0; j < width; j++) {
            float total = from[column + j];
            for (size_t first_k = 0; first_k < w->depth; first_k += VEC_PART) {
                size_t end = w->depth - first_k < VEC_PART ? w->depth : first_k + VEC_PART;
                float sum = 0;
                for (size_t k = first_k; k < end; k++)
                    sum += x[k] * packed_weight(w, packed_index(w, column, width, k, j));
                total += w->format == PACKED_INT8 ? sum * w->scales[column + j] : sum;
            }
            z[column + j] = total;
        }
    }
}

static void product(const struct packed *w, struct vec_span span, size_t rows, const float *x, size_t x_stride,
                    const float *from, size_t from_stride, float *z)
{
    for (size_t r = 0; r < rows; r++)
        product_row(w, span, x + r * x_stride, from + r * from_stride, z + r * packed_columns(w));
}

static float sum(size_t n, const float *x)
{
    float sums[16] = {0};
    for (size_t i = 0; i < n; i++)
        sums[i % 16] += x[i];
    for (size_t k = 1; k < 16; k++)
        sums[0] += sums[k];
    return sums[0];
}

const struct vec_ops vec_c = {
    .name = "c",
    .lanes = 8,
    .product = product,
    .sum = sum,
};
