/* Matrix products: Gemm and MatMul with weights become Dense layers. */
#include "operator_dense.h"
#include "call.h"

#include "core/layers/dense.h"
#include "core/layers/matmul.h"

#include <string.h>

/* A matrix of weights as a Dense layer's kernel [in, out], times alpha. */
static bool set_kernel(const struct onnx_call *call, const struct onnx_constant *matrix, bool turned, double alpha,
                       size_t in, size_t units)
{
    const size_t shape[] = {in, units};
    const float *from = onnx_floats(call, matrix);
    float *to = from ? onnx_weights(call, "kernel", 2, shape) : NULL;
    for (size_t i = 0; to && i < in; i++)
        for (size_t u = 0; u < units; u++)
            to[i * units + u] = (float)(alpha * (double)from[turned ? u * in + i : i * units + u]);
    return to;
}

/* Whether a constant has one number for each element of the last axis. */
static bool is_bias(const struct onnx_constant *constant, size_t units)
{
    if (constant->whole || constant->rank > 8)
        return false;
    for (size_t i = 0; i < constant->rank; i++)
        if (!onnx_is_whole(constant->sizes[i], i + 1 == constant->rank ? (int64_t)units : 1))
            return false;
    return constant->rank > 0;
}

static bool set_bias(const struct onnx_call *call, size_t layer, const struct onnx_constant *bias, double beta,
                     size_t units)
{
    const float *from = onnx_floats(call, bias);
    float *to = from ? onnx_weights_of(call, layer, "bias", 1, &units) : NULL;
    for (size_t u = 0; to && u < units; u++)
        to[u] = (float)(beta * (double)from[u]);
    return to;
}

/* Add a Dense layer on the last axis. A following Add gives its bias. */
static bool dense(struct onnx_call *call, const struct onnx_tensor *input, const struct onnx_constant *matrix,
                  bool turned, double alpha, struct onnx_tensor *out)
{
    size_t in = (size_t)matrix->sizes[turned].value, units = (size_t)matrix->sizes[!turned].value;
    struct onnx_number size;
    *out = *input;
    if (!onnx_last(call, out) || !onnx_axis_size(out, &out->axes[out->rank - 1], &size))
        return false;
    if (!onnx_is_whole(size, (int64_t)in))
        return onnx_refuse(call, "has weights for %zu features, and another number comes to it", in);
    struct layer *layer = onnx_layer(call, &layer_dense, "Dense");
    if (!layer)
        return false;
    struct dense *own = layer->own;
    own->units = units;
    own->use_bias = false;
    if (!set_kernel(call, matrix, turned, alpha, in, units))
        return false;
    out->value = onnx_node(call, &out->value, 1);
    out->layer = call->c->out->model.n_layers - 1;
    onnx_set_last(out, units);
    return out->value != GRAPH_NONE;
}

static struct layer *dense_before(const struct onnx_call *call, const struct onnx_tensor *tensor)
{
    struct layer *layer = tensor->layer == GRAPH_NONE ? NULL : &call->c->out->model.layers[tensor->layer];
    return layer && layer->class == &layer_dense && ((struct dense *)layer->own)->activation.kind == ACT_LINEAR ? layer
                                                                                                                : NULL;
}

bool onnx_join_bias(const struct onnx_call *call, const struct onnx_tensor *tensor, const struct onnx_constant *bias)
{
    struct layer *layer = dense_before(call, tensor);
    struct dense *own = layer ? layer->own : NULL;
    if (!own || own->use_bias || !is_bias(bias, own->units) || bias->rank > tensor->rank)
        return false;
    own->use_bias = true;
    return set_bias(call, tensor->layer, bias, 1, own->units);
}

bool onnx_join_activation(const struct onnx_call *call, const struct onnx_tensor *tensor,
                          const struct activation *activation)
{
    struct layer *layer = dense_before(call, tensor);
    if (layer)
        ((struct dense *)layer->own)->activation = *activation;
    return layer;
}

/* Y = alpha A B + beta C. */
static bool read_gemm(struct onnx_call *call)
{
    const struct onnx_constant *matrix = onnx_constant(call, 1), *bias = onnx_constant(call, 2);
    const struct onnx_tensor *in = onnx_operand(call, 0);
    double beta = onnx_float(call, "beta", 1);
    struct onnx_tensor out;
    if (!in || !matrix || matrix->rank != 2 || onnx_int(call, "transA", 0) || (onnx_given(call, 2) && !bias))
        return onnx_refuse(call, "is served with weights and a bias that are constants, and without transA");
    if (in->rank != 2)
        return onnx_refuse(call, "takes a matrix, and its input has %zu axes", in->rank);
    if (!dense(call, in, matrix, onnx_int(call, "transB", 0), onnx_float(call, "alpha", 1), &out))
        return false;
    struct dense *own = call->c->out->model.layers[out.layer].own;
    if (bias && !is_bias(bias, own->units) && !(bias->n == 1 && !bias->whole))
        return onnx_refuse(call, "has a bias that is not one number for each of its %zu units", own->units);
    own->use_bias = bias != NULL;
    if (bias && bias->n == 1) {
        struct onnx_constant all = *bias;
        all.uniform = true;
        all.rank = 1;
        all.sizes[0] = onnx_whole((int64_t)own->units);
        return set_bias(call, out.layer, &all, beta, own->units) && onnx_give(call, &out);
    }
    return (!bias || set_bias(call, out.layer, bias, beta, own->units)) && onnx_give(call, &out);
}

/* The product of two tensors: the last two axes are matrices, the axes before are equal. */
static bool multiply_tensors(struct onnx_call *call)
{
    size_t inputs[2];
    struct onnx_tensor t[2];
    for (size_t i = 0; i < 2; i++) {
        const struct onnx_tensor *in = onnx_operand(call, i);
        if (!in || (t[i] = *in, !onnx_order(call, &t[i])))
            return false;
        inputs[i] = t[i].value;
    }
    struct onnx_batch a = onnx_batch_of(&t[0]), b = onnx_batch_of(&t[1]);
    if (t[0].rank != t[1].rank || t[0].rank < 3 || a.axis != b.axis || a.merged || b.merged || a.axis + 2 >= t[0].rank)
        return onnx_refuse(call, "is served with a constant matrix, or with tensors [batch, …, rows, columns]");
    if (!onnx_layer(call, &layer_matmul, "MatMul"))
        return false;
    size_t n = t[0].n_sizes;
    t[0].sizes[n - 1] = t[1].sizes[n - 1];
    struct onnx_tensor out = onnx_tensor_of(onnx_node(call, inputs, 2), n, t[0].sizes, a);
    return onnx_give(call, &out);
}

static bool read_matmul(struct onnx_call *call)
{
    const struct onnx_constant *matrix = onnx_constant(call, 1);
    struct onnx_tensor out;
    if (!matrix)
        return onnx_constant(call, 0) ? onnx_refuse(call, "is served with the constant as its second operand")
                                      : multiply_tensors(call);
    const struct onnx_tensor *in = onnx_operand(call, 0);
    if (!in || matrix->rank != 2 || matrix->whole)
        return onnx_refuse(call, "is served with a constant of two axes");
    return dense(call, in, matrix, false, 1, &out) && onnx_give(call, &out);
}

const struct onnx_row onnx_dense_operators[] = {
    {"Gemm", read_gemm, 0},
    {"MatMul", read_matmul, 0},
    {NULL, NULL, 0},
};
