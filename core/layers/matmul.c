/* [B, …, m, k] times [B, …, k, n]. Source: tensorflow/python/ops/math_ops.py, keras/src/ops/numpy.py. */
#include "matmul.h"

#include <string.h>

/* Matrices [rows, columns] after the transposition: element (i, j) has the index i * down + j * across. */
struct matrices {
    size_t rows, columns, down, across, size;
};

static void matrices_of(const size_t *axes, size_t n, bool transposed, struct matrices *out)
{
    size_t rows = axes[n - 2], columns = axes[n - 1];
    *out = transposed ? (struct matrices){columns, rows, 1, columns, rows * columns}
                      : (struct matrices){rows, columns, columns, 1, rows * columns};
}

static enum rnn_status matmul_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                    struct layer_shape *out, struct rnn_error *err)
{
    const struct matmul *own = layer->own;
    size_t axes[2][LAYER_MAX_AXES], n[2] = {0, 0};
    struct matrices a, b;
    (void)sequences;
    for (size_t k = 0; k < 2 && layer->n_inputs == 2; k++)
        n[k] = layer_axes(&in[k], axes[k]);
    if (n[0] != n[1] || n[0] < 2)
        return rnn_fail(err, RNN_ESHAPE,
                        "layer \"%s\" (%s): expected two tensors of matrices, with equal numbers of axes", layer->name,
                        layer->class_name);
    matrices_of(axes[0], n[0], own->transposed[0], &a);
    matrices_of(axes[1], n[0], own->transposed[1], &b);
    if (a.columns && b.rows && a.columns != b.rows)
        return rnn_fail(
            err, RNN_ESHAPE,
            "layer \"%s\" (%s): the first matrix has %zu columns, the second %zu rows; expected the same number",
            layer->name, layer->class_name, a.columns, b.rows);
    for (size_t i = 0; i + 2 < n[0]; i++) {
        if (axes[0][i] != axes[1][i] && axes[0][i] != 1 && axes[1][i] != 1)
            return rnn_fail(err, RNN_ESHAPE,
                            "layer \"%s\" (%s): axis %zu has %zu and %zu elements, expected the same number",
                            layer->name, layer->class_name, i + 1, axes[0][i], axes[1][i]);
        axes[0][i] = axes[0][i] == 1 ? axes[1][i] : axes[0][i];
    }
    axes[0][n[0] - 2] = a.rows;
    axes[0][n[0] - 1] = b.columns;
    return layer_shape_of(n[0], axes[0], out)
               ? RNN_OK
               : rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
}

static void multiply(const struct matrices *a, const float *x, const struct matrices *b, const float *y, float *out)
{
    for (size_t i = 0; i < a->rows; i++)
        for (size_t j = 0; j < b->columns; j++) {
            double sum = 0;
            for (size_t k = 0; k < a->columns; k++)
                sum += (double)x[i * a->down + k * a->across] * (double)y[k * b->down + j * b->across];
            *out++ = (float)sum;
        }
}

static bool matmul_run(const struct layer *layer, struct layer_run *run)
{
    const struct matmul *own = layer->own;
    for (size_t r = 0; r < run->n; r++) {
        size_t axes[2][LAYER_MAX_AXES], n = 0, index[LAYER_MAX_AXES] = {0}, outer = 1;
        struct matrices m[2];
        for (size_t k = 0; k < 2; k++) {
            struct layer_shape shape = run->in_shapes[k];
            shape.timesteps = run->in[k][r].timesteps;
            n = layer_axes(&shape, axes[k]);
            matrices_of(axes[k], n, own->transposed[k], &m[k]);
        }
        for (size_t i = 0; i + 2 < n; i++)
            outer *= axes[0][i] == 1 ? axes[1][i] : axes[0][i];
        for (size_t e = 0; e < outer; e++) {
            size_t at[2] = {0, 0}, rest = e;
            for (size_t i = n - 2; i-- > 0;) {
                size_t size = axes[0][i] == 1 ? axes[1][i] : axes[0][i];
                index[i] = rest % size;
                rest /= size;
            }
            for (size_t k = 0; k < 2; k++)
                for (size_t i = 0; i + 2 < n; i++)
                    at[k] = at[k] * axes[k][i] + (axes[k][i] == 1 ? 0 : index[i]);
            multiply(&m[0], run->in[0][r].at + at[0] * m[0].size, &m[1], run->in[1][r].at + at[1] * m[1].size,
                     run->out[r].at + e * m[0].rows * m[1].columns);
        }
    }
    return true;
}

const struct layer_class layer_matmul = {
    .size = sizeof(struct matmul),
    .masks = MASKS_STOP,
    .most_inputs = 2,
    .shape = matmul_shape,
    .run = matmul_run,
};
