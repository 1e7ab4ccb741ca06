/* Arithmetic of tensors and constants. Source: tensorflow/python/ops/math_ops.py, keras/src/ops/numpy.py. */
#include "arithmetic.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- axes ---- */

static size_t row_axes(const struct layer_run *run, size_t k, size_t b, size_t axes[LAYER_MAX_AXES])
{
    struct layer_shape shape = run->in_shapes[k];
    shape.timesteps = run->in[k][b].timesteps;
    return layer_axes(&shape, axes);
}

/* The axes of the constant, extended to n axes by leading axes of size 1. Returns false if the constant has more
   axes. */
static bool constant_axes(const struct arithmetic *own, size_t n, size_t axes[LAYER_MAX_AXES])
{
    size_t batch = own->rank == n + 1 && own->axes[0] == 1, have = own->rank - batch;
    if (have > n)
        return false;
    for (size_t i = 0; i < n; i++)
        axes[i] = i < n - have ? 1 : own->axes[batch + i - (n - have)];
    return true;
}

/* Broadcast axes with the other axes. 0 is an unknown number of timesteps. Returns false if the axes do not fit. */
static bool join_axes(size_t n, size_t *axes, const size_t *other, size_t *bad)
{
    for (size_t i = 0; i < n; i++) {
        *bad = i;
        if (axes[i] == other[i] || other[i] == 1)
            continue;
        if (axes[i] > 1 && other[i])
            return false;
        axes[i] = axes[i] > 1 ? axes[i] : other[i];
    }
    return true;
}

static enum rnn_status misfit(const struct layer *layer, size_t axis, size_t a, size_t b, struct rnn_error *err)
{
    return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): axis %zu has %zu and %zu numbers, expected the same",
                    layer->name, layer->class_name, axis + 1, a, b);
}

static enum rnn_status arithmetic_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                        struct layer_shape *out, struct rnn_error *err)
{
    const struct arithmetic *own = layer->own;
    size_t axes[LAYER_MAX_AXES] = {0}, other[LAYER_MAX_AXES] = {0}, n = layer_axes(in, axes), bad = 0;
    bool same = true;
    (void)sequences;
    for (size_t k = 1; k < layer->n_inputs; k++) {
        if (layer_axes(&in[k], other) != n)
            return rnn_fail(err, RNN_ESHAPE,
                            "layer \"%s\" (%s): its inputs have different numbers of axes, so that the batch would be "
                            "matched with another axis; add axes of size 1",
                            layer->name, layer->class_name);
        if (!join_axes(n, axes, other, &bad))
            return misfit(layer, bad, axes[bad], other[bad], err);
    }
    if (own->constant && !constant_axes(own, n, other))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\" (%s): its constant has more axes than its input", layer->name,
                        layer->class_name);
    if (own->constant && !join_axes(n, axes, other, &bad))
        return misfit(layer, bad, axes[bad], other[bad], err);
    layer_axes(in, other);
    for (size_t i = 0; i < n; i++)
        same &= axes[i] == other[i];
    if (!same && !layer_shape_of(n, axes, out))
        return rnn_fail(err, RNN_ESHAPE, "layer \"%s\": its output has too many axes or numbers", layer->name);
    out->ids = false;
    return RNN_OK;
}

/* ---- numbers ---- */

static float modulo(float a, float b)
{
    float rest = fmodf(a, b);
    return rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest;
}

static float compare(enum arithmetic_operation operation, float a, float b)
{
    switch (operation) {
    case ARITHMETIC_EQUAL:
        return a == b;
    case ARITHMETIC_NOT_EQUAL:
        return a != b;
    case ARITHMETIC_GREATER:
        return a > b;
    case ARITHMETIC_GREATER_EQUAL:
        return a >= b;
    case ARITHMETIC_LESS:
        return a < b;
    case ARITHMETIC_LESS_EQUAL:
        return a <= b;
    case ARITHMETIC_AND:
        return a != 0 && b != 0;
    default:
        return a != 0 || b != 0;
    }
}

/* NaN stays NaN. */
static float combine(enum arithmetic_operation operation, float a, float b)
{
    switch (operation) {
    case ARITHMETIC_ADD:
        return a + b;
    case ARITHMETIC_SUBTRACT:
        return a - b;
    case ARITHMETIC_MULTIPLY:
        return a * b;
    case ARITHMETIC_DIVIDE:
        return a / b;
    case ARITHMETIC_FLOOR_DIVIDE:
        return floorf(a / b);
    case ARITHMETIC_MODULO:
        return modulo(a, b);
    case ARITHMETIC_POWER:
        return (float)pow((double)a, (double)b);
    case ARITHMETIC_MAXIMUM:
        return a != a || a > b ? a : b;
    case ARITHMETIC_MINIMUM:
        return a != a || a < b ? a : b;
    case ARITHMETIC_SQUARED_DIFFERENCE:
        return (a - b) * (a - b);
    default:
        return compare(operation, a, b);
    }
}

/* n numbers. step is 0 if one number is used for all. */
static void combine_span(enum arithmetic_operation operation, size_t n, const float *x, size_t step, float *out)
{
    if (operation == ARITHMETIC_ADD)
        for (size_t i = 0; i < n; i++)
            out[i] += x[i * step];
    else if (operation == ARITHMETIC_MULTIPLY)
        for (size_t i = 0; i < n; i++)
            out[i] *= x[i * step];
    else
        for (size_t i = 0; i < n; i++)
            out[i] = combine(operation, out[i], x[i * step]);
}

/* Combine one operand [input] with out [axes]; the first operand is copied. */
static void add_operand(enum arithmetic_operation operation, size_t n, const size_t *axes, const size_t *input,
                        const float *x, float *out, bool first)
{
    size_t index[LAYER_MAX_AXES] = {0}, strides[LAYER_MAX_AXES] = {0}, stride = 1, at = 0, outer = 1;
    size_t inner = n ? axes[n - 1] : 1, step = n && input[n - 1] != 1;
    for (size_t i = n; i-- > 0; stride *= input[i])
        strides[i] = input[i] == 1 ? 0 : stride;
    for (size_t i = 0; i + 1 < n; i++)
        outer *= axes[i];
    for (size_t e = 0; e < outer; e++, out += inner) {
        for (size_t i = 0; first && i < inner; i++)
            out[i] = x[at + i * step];
        if (!first)
            combine_span(operation, inner, x + at, step, out);
        for (size_t i = n; i-- > 1;) {
            at += strides[i - 1];
            if (++index[i - 1] < axes[i - 1])
                break;
            at -= strides[i - 1] * axes[i - 1];
            index[i - 1] = 0;
        }
    }
}

static bool arithmetic_run(const struct layer *layer, struct layer_run *run)
{
    const struct arithmetic *own = layer->own;
    for (size_t b = 0; b < run->n; b++) {
        struct layer_shape shape = *run->out_shape;
        size_t axes[LAYER_MAX_AXES], input[LAYER_MAX_AXES] = {0};
        shape.timesteps = run->out[b].timesteps;
        size_t n = layer_axes(&shape, axes);
        bool first = true;
        if (own->constant && own->constant_first) {
            constant_axes(own, n, input);
            add_operand(own->operation, n, axes, input, own->constant, run->out[b].at, true);
            first = false;
        }
        for (size_t k = 0; k < run->n_inputs; k++, first = false) {
            row_axes(run, k, b, input);
            add_operand(own->operation, n, axes, input, run->in[k][b].at, run->out[b].at, first);
        }
        if (own->constant && !own->constant_first) {
            constant_axes(own, n, input);
            add_operand(own->operation, n, axes, input, own->constant, run->out[b].at, false);
        }
    }
    return true;
}

/* A constant with numbers for each timestep needs whole sequences. */
static enum layer_time arithmetic_time(const struct layer *layer)
{
    const struct arithmetic *own = layer->own;
    size_t axes[LAYER_MAX_AXES] = {0}, constant[LAYER_MAX_AXES] = {1}, n = layer_axes(&layer->input, axes);
    bool timed = own->constant && layer->input.sequence && constant_axes(own, n, constant) && constant[0] != 1;
    return timed ? TIME_WHOLE : TIME_POINTWISE;
}

static void arithmetic_close(void *own)
{
    free(((struct arithmetic *)own)->constant);
}

/* ---- functions ---- */

static enum rnn_status function_shape(const struct layer *layer, const struct layer_shape *in, bool sequences,
                                      struct layer_shape *out, struct rnn_error *err)
{
    (void)layer, (void)in, (void)sequences, (void)err;
    out->ids = false;
    return RNN_OK;
}

static double apply(enum function_kind kind, double x)
{
    switch (kind) {
    case FUNCTION_ABS:
        return fabs(x);
    case FUNCTION_SQUARE:
        return x * x;
    case FUNCTION_SQRT:
        return sqrt(x);
    case FUNCTION_RSQRT:
        return 1 / sqrt(x);
    case FUNCTION_NEGATIVE:
        return -x;
    case FUNCTION_RECIPROCAL:
        return 1 / x;
    case FUNCTION_EXP:
        return exp(x);
    case FUNCTION_EXPM1:
        return expm1(x);
    case FUNCTION_LOG:
        return log(x);
    case FUNCTION_LOG1P:
        return log1p(x);
    case FUNCTION_SIGN:
        return x > 0 ? 1 : x < 0 ? -1 : x;
    case FUNCTION_SIN:
        return sin(x);
    case FUNCTION_COS:
        return cos(x);
    case FUNCTION_ERF:
        return erf(x);
    case FUNCTION_FLOOR:
        return floor(x);
    case FUNCTION_CEIL:
        return ceil(x);
    case FUNCTION_ROUND:
        return rint(x);
    case FUNCTION_TRUNCATE:
        return trunc(x);
    case FUNCTION_NOT_ZERO:
        return x != 0;
    case FUNCTION_NOT:
        return x == 0;
    default:
        return kind == FUNCTION_ONE;
    }
}

static bool function_run(const struct layer *layer, struct layer_run *run)
{
    const struct function *own = layer->own;
    for (size_t b = 0; b < run->n; b++) {
        size_t n = run->out[b].timesteps * run->out_shape->width;
        for (size_t i = 0; i < n; i++)
            run->out[b].at[i] = (float)apply(own->kind, (double)run->in[0][b].at[i]);
    }
    return true;
}

const struct layer_class layer_arithmetic = {
    .size = sizeof(struct arithmetic),
    .masks = MASKS_STOP,
    .numbers = true,
    .most_inputs = ARITHMETIC_MAX_INPUTS,
    .close = arithmetic_close,
    .time = arithmetic_time,
    .shape = arithmetic_shape,
    .run = arithmetic_run,
};

const struct layer_class layer_function = {
    .size = sizeof(struct function),
    .masks = MASKS_STOP,
    .numbers = true,
    .pointwise = true,
    .shape = function_shape,
    .run = function_run,
};
