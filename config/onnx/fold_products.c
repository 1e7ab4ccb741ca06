/* MatMul and Gemm of constants: the first timestep of a recurrent layer that an exporter unrolled begins with zeros. */
#include "fold.h"

#include <string.h>

/* A constant with two axes as a matrix. An open number of equal rows is stored as one row. Returns false for other
   constants. */
struct matrix {
    const float *at;
    size_t rows, columns;
};

static bool matrix_of(const struct onnx_call *call, size_t operand, bool transposed, struct matrix *out)
{
    const struct onnx_constant *constant = onnx_constant(call, operand);
    size_t sizes[ONNX_MAX_RANK];
    if (!constant || constant->whole || constant->rank != 2)
        return false;
    struct onnx_constant plain = *constant;
    if (!onnx_known(plain.sizes[0]) && plain.uniform)
        plain.sizes[0] = onnx_whole(1);
    if (!onnx_plain_sizes(&plain, sizes))
        return false;
    const float *from = onnx_floats(call, &plain);
    *out = (struct matrix){from, sizes[transposed], sizes[!transposed]};
    if (!from || !transposed)
        return from != NULL;
    float *turned = onnx_memory(call, sizes[0] * sizes[1], sizeof *turned);
    for (size_t i = 0; turned && i < sizes[0]; i++)
        for (size_t k = 0; k < sizes[1]; k++)
            turned[k * sizes[0] + i] = from[i * sizes[1] + k];
    out->at = turned;
    return turned != NULL;
}

/* a @ b * alpha, summed in double. */
static bool multiply(const struct onnx_call *call, const struct matrix *a, const struct matrix *b, double alpha,
                     struct onnx_constant *out, float **floats)
{
    struct onnx_number *wholes;
    const struct onnx_number sizes[2] = {onnx_whole((int64_t)a->rows), onnx_whole((int64_t)b->columns)};
    size_t work;
    if (a->columns != b->rows || !rnn_size_mul(a->rows, b->columns, &work) || !rnn_size_mul(work, b->rows, &work) ||
        work > ONNX_MAX_FOLDED)
        return onnx_refuse(call, "multiplies constants that do not fit each other, or are too large");
    if (!onnx_new_constant(call, false, 2, sizes, out, floats, &wholes))
        return false;
    for (size_t i = 0; i < a->rows; i++)
        for (size_t j = 0; j < b->columns; j++) {
            double sum = 0;
            for (size_t k = 0; k < a->columns; k++)
                sum += (double)a->at[i * a->columns + k] * (double)b->at[k * b->columns + j];
            (*floats)[i * b->columns + j] = (float)(alpha * sum);
        }
    return true;
}

static bool fold_matmul(struct onnx_call *call)
{
    struct matrix a, b;
    struct onnx_constant out;
    float *floats;
    return matrix_of(call, 0, false, &a) && matrix_of(call, 1, false, &b) && multiply(call, &a, &b, 1, &out, &floats) &&
           onnx_give_constant(call, &out);
}

static bool fold_gemm(struct onnx_call *call)
{
    const struct onnx_constant *c = onnx_constant(call, 2);
    struct matrix a, b;
    struct onnx_constant out;
    float *floats;
    double beta = onnx_float(call, "beta", 1);
    size_t n;
    if (!matrix_of(call, 0, onnx_int(call, "transA", 0) != 0, &a) ||
        !matrix_of(call, 1, onnx_int(call, "transB", 0) != 0, &b) ||
        !multiply(call, &a, &b, onnx_float(call, "alpha", 1), &out, &floats))
        return false;
    if (c && (!onnx_elements(c, &n) || (n != 1 && n != b.columns)))
        return onnx_refuse(call, "adds a constant of another size than a row");
    for (size_t i = 0; c && i < a.rows * b.columns; i++)
        floats[i] = (float)((double)floats[i] + beta * onnx_element(c, n == 1 ? 0 : i % b.columns));
    return onnx_give_constant(call, &out);
}

const struct onnx_fold_row onnx_fold_products[] = {
    {"MatMul", fold_matmul, 0},
    {"Gemm", fold_gemm, 0},
    {.op = NULL},
};
