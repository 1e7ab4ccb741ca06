/* Operators that reduce axes to one number. */
#include "call.h"

#include "core/layers/arithmetic.h"
#include "core/layers/reduce.h"

/* The axes are an attribute, or an operand since opset 18 (for a sum since 13). */
static bool reduce(struct onnx_call *call, const struct onnx_tensor *in, enum reduce_operation operation, bool sum)
{
    struct reduce own = {.operation = operation};
    long axes[ONNX_MAX_RANK];
    bool gone[ONNX_MAX_RANK] = {false}, keep = onnx_int(call, "keepdims", 1);
    size_t n, at, operand = call->c->opset >= (sum ? 13 : 18) ? 1 : SIZE_MAX;
    if (!onnx_ints(call, "axes", operand, ONNX_MAX_RANK, axes, &n))
        return false;
    if (!n && onnx_int(call, "noop_with_empty_axes", 0))
        return onnx_give(call, in);
    struct onnx_tensor out = *in;
    if (!onnx_order(call, &out))
        return false;
    struct onnx_batch batch = onnx_batch_of(&out);
    for (size_t i = 0; i < (n ? n : out.rank); i++) {
        if (!onnx_axis(call, n ? axes[i] : (long)i, out.rank, &at))
            return false;
        if (at == batch.axis && (batch.merged || call->c->batch != 1 || !keep))
            return onnx_refuse(call, "mixes the rows of a batch; give it the axes behind the batch");
        gone[at] = at != batch.axis;
        if (gone[at] && own.n < LAYER_MAX_AXES)
            own.axes[own.n++] = (long)onnx_place(&out, at) + 1;
    }
    struct onnx_number sizes[LAYER_MAX_AXES];
    size_t n_sizes = 0;
    for (size_t i = 0; i < out.rank; i++) {
        bool lone = i == batch.axis && !batch.merged;
        if (!lone && (!gone[i] || keep))
            sizes[n_sizes++] = gone[i] ? onnx_whole(1) : out.sizes[onnx_place(&out, i)];
    }
    for (size_t i = 0, before = batch.axis; i < before && before != SIZE_MAX; i++)
        batch.axis -= gone[i] && !keep;
    own.keepdims = keep;
    struct layer *layer = onnx_layer(call, &layer_reduce, call->op);
    if (!layer)
        return false;
    *(struct reduce *)layer->own = own;
    struct onnx_tensor result = onnx_tensor_of(onnx_node(call, &out.value, 1), n_sizes, sizes, batch);
    return onnx_give(call, &result);
}

static bool read_reduce(struct onnx_call *call)
{
    enum reduce_operation operation = (enum reduce_operation)call->row->which;
    const struct onnx_tensor *in = onnx_operand(call, 0);
    return in && reduce(call, in, operation, operation == REDUCE_SUM);
}

/* Apply a function to each number. */
static bool apply(const struct onnx_call *call, struct onnx_tensor *tensor, enum function_kind kind)
{
    struct layer *layer = onnx_layer(call, &layer_function, call->op);
    if (!layer)
        return false;
    ((struct function *)layer->own)->kind = kind;
    tensor->value = onnx_node(call, &tensor->value, 1);
    tensor->layer = GRAPH_NONE;
    tensor->whole = false;
    return tensor->value != GRAPH_NONE;
}

/* Sums of squares or of absolute values, followed by a function. */
enum { SUM_SQUARE, SUM_L1, SUM_L2, SUM_LOG };

static bool read_sum_of(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    int which = call->row->which;
    if (!in)
        return false;
    struct onnx_tensor out = *in;
    if (which != SUM_LOG && !apply(call, &out, which == SUM_L1 ? FUNCTION_ABS : FUNCTION_SQUARE))
        return false;
    if (!reduce(call, &out, REDUCE_SUM, false))
        return false;
    out = call->out[0].tensor;
    if (which == SUM_L2 || which == SUM_LOG)
        return apply(call, &out, which == SUM_L2 ? FUNCTION_SQRT : FUNCTION_LOG) && onnx_give(call, &out);
    return true;
}

const struct onnx_row onnx_reduce_operators[] = {
    {"ReduceMean", read_reduce, REDUCE_MEAN},
    {"ReduceSum", read_reduce, REDUCE_SUM},
    {"ReduceMax", read_reduce, REDUCE_MAX},
    {"ReduceMin", read_reduce, REDUCE_MIN},
    {"ReduceProd", read_reduce, REDUCE_PRODUCT},
    {"ReduceLogSumExp", read_reduce, REDUCE_LOG_SUM_EXP},
    {"ReduceSumSquare", read_sum_of, SUM_SQUARE},
    {"ReduceL1", read_sum_of, SUM_L1},
    {"ReduceL2", read_sum_of, SUM_L2},
    {"ReduceLogSum", read_sum_of, SUM_LOG},
    {.op = NULL},
};
