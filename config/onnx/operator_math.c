/* Operators that compute: functions of each number, arithmetic, sums along axes. */
#include "call.h"
#include "operator_dense.h"

#include "core/layers/activation.h"
#include "core/layers/arithmetic.h"
#include "core/layers/reduce.h"

#include <math.h>
#include <string.h>

/* The result has the axes of the operand, and another value. */
static bool give_value(struct onnx_call *call, const struct onnx_tensor *like, size_t value)
{
    struct onnx_tensor out = *like;
    out.value = value;
    out.layer = GRAPH_NONE;
    out.whole = false;
    return onnx_give(call, &out);
}

static bool give_activation(struct onnx_call *call, const struct onnx_tensor *in, const struct activation *activation)
{
    if (onnx_join_activation(call, in, activation))
        return give_value(call, in, in->value);
    struct layer *layer = onnx_layer(call, &layer_activation, call->op);
    if (!layer)
        return false;
    *(struct activation *)layer->own = *activation;
    return give_value(call, in, onnx_node(call, &in->value, 1));
}

static bool read_activation(struct onnx_call *call)
{
    enum activation_kind kind = (enum activation_kind)call->row->which;
    struct activation activation = activation_find(activation_name_of(kind))->activation;
    const struct onnx_tensor *in = onnx_operand(call, 0);
    if (!in)
        return false;
    if (kind == ACT_LEAKY_RELU)
        activation.alpha = (float)onnx_float(call, "alpha", 0.01);
    else if (kind == ACT_ELU || kind == ACT_CELU)
        activation.alpha = (float)onnx_float(call, "alpha", 1);
    if (kind == ACT_SELU && (fabs(onnx_float(call, "alpha", 1.67326) - 1.67326) > 1e-4 ||
                             fabs(onnx_float(call, "gamma", 1.0507) - 1.0507) > 1e-4))
        return onnx_refuse(call, "is served with its own alpha and gamma");
    if (kind == ACT_GELU && !strcmp(onnx_text(call, "approximate", "none"), "tanh"))
        activation.kind = ACT_GELU_TANH;
    return give_activation(call, in, &activation);
}

static bool read_function(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    struct layer *layer = in ? onnx_layer(call, &layer_function, call->op) : NULL;
    if (!layer)
        return false;
    ((struct function *)layer->own)->kind = (enum function_kind)call->row->which;
    return give_value(call, in, onnx_node(call, &in->value, 1));
}

/* Over all axes from the named one on together, as before opset 13. */
static bool softmax_from(struct onnx_call *call, struct onnx_tensor *tensor, size_t axis, bool logarithm)
{
    struct onnx_batch batch = onnx_batch_of(tensor);
    if (batch.axis != SIZE_MAX && batch.axis >= axis)
        return onnx_refuse(call, "works along the batch, which is not served");
    struct layer *layer = onnx_order(call, tensor) ? onnx_layer(call, &layer_softmax, call->op) : NULL;
    if (!layer)
        return false;
    struct softmax *own = layer->own;
    own->axes.n = 0;
    for (size_t i = axis; i < tensor->rank; i++)
        own->axes.at[own->axes.n++] = (long)i - (long)tensor->rank;
    own->activation.kind = logarithm ? ACT_LOG_SOFTMAX : ACT_SOFTMAX;
    return give_value(call, tensor, onnx_node(call, &tensor->value, 1));
}

/* Along the last axis this is an activation. Before opset 13 it is also along all axes after the named one. */
static bool read_softmax(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    bool old = call->c->opset < 13, logarithm = call->row->which;
    size_t axis;
    if (!in || !onnx_axis(call, onnx_int(call, "axis", old ? 1 : -1), in->rank, &axis))
        return false;
    struct onnx_tensor out = *in;
    if (old && axis + 1 != in->rank)
        return softmax_from(call, &out, axis, logarithm);
    if (axis + 1 == in->rank && onnx_batch_of(in).axis != axis) {
        const struct activation activation = {.kind = logarithm ? ACT_LOG_SOFTMAX : ACT_SOFTMAX};
        return onnx_last(call, &out) && give_activation(call, &out, &activation);
    }
    if (onnx_batch_of(in).axis == axis)
        return onnx_refuse(call, "works along the batch, which is not served");
    struct layer *layer = onnx_order(call, &out) ? onnx_layer(call, &layer_along, call->op) : NULL;
    if (!layer)
        return false;
    *(struct along *)layer->own = (struct along){.operation = logarithm ? ALONG_LOG_SOFTMAX : ALONG_SOFTMAX,
                                                 .axis = (long)onnx_place(&out, axis) + 1};
    return give_value(call, &out, onnx_node(call, &out.value, 1));
}

/* ---- arithmetic ---- */

/* Whether the operation changes nothing: x + 0, x * 1 and similar. */
static bool is_neutral(enum arithmetic_operation operation, const struct onnx_constant *constant, bool first)
{
    switch (operation) {
    case ARITHMETIC_ADD:
        return onnx_all(constant, 0);
    case ARITHMETIC_MULTIPLY:
        return onnx_all(constant, 1);
    case ARITHMETIC_SUBTRACT:
        return !first && onnx_all(constant, 0);
    case ARITHMETIC_DIVIDE:
    case ARITHMETIC_POWER:
        return !first && onnx_all(constant, 1);
    default:
        return false;
    }
}

/* Remove the constant's axis for the batch, whose size must be 1. Returns false with a problem added. */
static bool constant_axes(const struct onnx_call *call, const struct onnx_constant *constant,
                          const struct onnx_tensor *tensor, struct arithmetic *own)
{
    struct onnx_batch batch = onnx_batch_of(tensor);
    for (size_t i = 0; i < constant->rank; i++) {
        size_t axis = tensor->rank - constant->rank + i;
        bool of_batch = axis == batch.axis && !batch.merged;
        if (!onnx_known(constant->sizes[i]) || (axis == batch.axis && !onnx_is_whole(constant->sizes[i], 1)))
            return onnx_refuse(call, "joins a constant that has an axis for the batch");
        if (!of_batch && own->rank < LAYER_MAX_AXES)
            own->axes[own->rank++] = (size_t)constant->sizes[i].value;
    }
    return true;
}

static bool with_constant(struct onnx_call *call, enum arithmetic_operation operation, const struct onnx_tensor *tensor,
                          const struct onnx_constant *constant, bool first, struct onnx_tensor *out)
{
    struct arithmetic own = {.operation = operation, .constant_first = first};
    size_t n;
    *out = *tensor;
    for (size_t i = 0; constant->whole && i < constant->n; i++)
        if (!onnx_known(constant->wholes[i]))
            return onnx_refuse(call,
                               "computes with the size of the model's input, which is not served; export the model "
                               "with that size fixed");
    if (is_neutral(operation, constant, first) && constant->rank <= tensor->rank)
        return true;
    if (operation == ARITHMETIC_ADD && onnx_join_bias(call, tensor, constant))
        return true;
    out->layer = GRAPH_NONE;
    bool lone = constant->n == 1 && constant->rank <= tensor->rank;
    if (constant->rank > tensor->rank)
        return onnx_refuse(call, "joins a constant of more axes than its tensor has");
    if (!lone && (!onnx_order(call, out) || !onnx_elements(constant, &n) || !constant_axes(call, constant, out, &own)))
        return onnx_refuse(call, "joins a constant of open size");
    const float *numbers = lone ? NULL : onnx_floats(call, constant);
    own.constant = rnn_alloc(lone ? 1 : n, sizeof *own.constant);
    struct layer *layer = own.constant && (lone || numbers) ? onnx_layer(call, &layer_arithmetic, call->op) : NULL;
    if (!layer) {
        free(own.constant);
        return onnx_no_memory(call);
    }
    for (size_t i = 0; i < (lone ? 1 : n); i++)
        own.constant[i] = lone ? (float)onnx_element(constant, 0) : numbers[i];
    *(struct arithmetic *)layer->own = own;
    for (size_t i = 0; i < own.rank; i++) { /* an axis of size 1 is broadcast to the constant's size */
        struct onnx_number *size = &out->sizes[out->n_sizes - own.rank + i];
        if (onnx_is_whole(*size, 1))
            *size = onnx_whole((int64_t)own.axes[i]);
    }
    size_t value = onnx_node(call, &out->value, 1);
    if (lone)
        out->value = value;
    else
        *out = onnx_tensor_of(value, out->n_sizes, out->sizes, onnx_batch_of(out));
    out->whole = false;
    return value != GRAPH_NONE;
}

/* Insert axes of size 1 in front, so that both have the same number of axes. */
static bool widen(const struct onnx_call *call, struct onnx_tensor *tensor, size_t rank)
{
    size_t more = rank - tensor->rank;
    if (rank > ONNX_MAX_RANK)
        return onnx_refuse(call, "joins tensors of too many axes");
    memmove(&tensor->axes[more], tensor->axes, tensor->rank * sizeof *tensor->axes);
    memset(tensor->axes, 0, more * sizeof *tensor->axes);
    tensor->rank = rank;
    return true;
}

static bool two_tensors(struct onnx_call *call, enum arithmetic_operation operation, const struct onnx_tensor *left,
                        const struct onnx_tensor *right, struct onnx_tensor *out)
{
    struct onnx_tensor a = *left, b = *right;
    size_t rank = a.rank > b.rank ? a.rank : b.rank;
    struct onnx_number sizes[LAYER_MAX_AXES];
    if (!widen(call, &a, rank) || !widen(call, &b, rank))
        return false;
    struct onnx_batch batch = onnx_batch_of(&a), other = onnx_batch_of(&b);
    if (batch.axis != other.axis && !onnx_batch_at(call, &b, batch.axis))
        return onnx_refuse(call, "joins tensors whose batch stands in different axes");
    if (!onnx_order(call, &a) || !onnx_order(call, &b))
        return false;
    for (size_t i = 0; i < a.n_sizes; i++)
        sizes[i] = onnx_is_whole(a.sizes[i], 1) ? b.sizes[i] : a.sizes[i];
    const size_t inputs[2] = {a.value, b.value};
    struct layer *layer = onnx_layer(call, &layer_arithmetic, call->op);
    if (!layer)
        return false;
    ((struct arithmetic *)layer->own)->operation = operation;
    *out = onnx_tensor_of(onnx_node(call, inputs, 2), a.n_sizes, sizes, onnx_batch_of(&a));
    return out->value != GRAPH_NONE;
}

/* Combine the operands from left to right. */
static bool read_arithmetic(struct onnx_call *call)
{
    enum arithmetic_operation operation = (enum arithmetic_operation)call->row->which;
    struct onnx_value so_far = call->in[0];
    for (size_t i = 1; i < call->n_in; i++) {
        const struct onnx_value *next = &call->in[i];
        struct onnx_tensor out;
        bool good = false;
        if (so_far.kind == ONNX_TENSOR && next->kind == ONNX_TENSOR)
            good = two_tensors(call, operation, &so_far.tensor, &next->tensor, &out);
        else if (so_far.kind == ONNX_TENSOR && next->kind == ONNX_CONSTANT)
            good = with_constant(call, operation, &so_far.tensor, &next->constant, false, &out);
        else if (so_far.kind == ONNX_CONSTANT && next->kind == ONNX_TENSOR)
            good = with_constant(call, operation, &next->tensor, &so_far.constant, true, &out);
        if (!good)
            return false;
        so_far = (struct onnx_value){.kind = ONNX_TENSOR, .tensor = out};
    }
    return so_far.kind == ONNX_TENSOR && onnx_give(call, &so_far.tensor);
}

/* Squares and roots have functions of their own, which are exact. */
static bool read_power(struct onnx_call *call)
{
    const struct onnx_constant *power = onnx_constant(call, 1);
    bool square = power && onnx_all(power, 2), root = power && onnx_all(power, 0.5);
    const struct onnx_tensor *in = square || root ? onnx_operand(call, 0) : NULL;
    if (!in || power->rank > in->rank)
        return read_arithmetic(call);
    struct layer *layer = onnx_layer(call, &layer_function, call->op);
    if (!layer)
        return false;
    ((struct function *)layer->own)->kind = square ? FUNCTION_SQUARE : FUNCTION_SQRT;
    return give_value(call, in, onnx_node(call, &in->value, 1));
}

/* The bounds are attributes before opset 11, and operands since then. */
static bool read_clip(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    static const char *const keys[2] = {"min", "max"};
    struct onnx_tensor out;
    if (!in)
        return false;
    out = *in;
    for (size_t i = 0; i < 2; i++) {
        const struct onnx_constant *given = onnx_constant(call, i + 1);
        float bound = (float)onnx_float(call, keys[i], 0);
        const struct onnx_constant own = {.n = 1, .floats = &bound};
        struct onnx_tensor before = out;
        if (onnx_given(call, i + 1) && !given)
            return onnx_refuse(call, "is served with bounds that are constants");
        if ((given || onnx_has(call, keys[i])) && !with_constant(call, i ? ARITHMETIC_MINIMUM : ARITHMETIC_MAXIMUM,
                                                                 &before, given ? given : &own, false, &out))
            return false;
    }
    return onnx_give(call, &out);
}

/* A hard sigmoid with other slopes than Keras's is made of two sums and two bounds. */
static bool read_hard_sigmoid(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    const float numbers[] = {(float)onnx_float(call, "alpha", 0.2), (float)onnx_float(call, "beta", 0.5), 0, 1};
    static const enum arithmetic_operation operations[] = {ARITHMETIC_MULTIPLY, ARITHMETIC_ADD, ARITHMETIC_MAXIMUM,
                                                           ARITHMETIC_MINIMUM};
    bool two = fabsf(numbers[0] - 0.2F) < 1e-6F, three = fabsf(numbers[0] - 1 / 6.0F) < 1e-6F;
    const struct activation activation = {.kind = two ? ACT_HARD_SIGMOID : ACT_HARD_SIGMOID_V3};
    if (!in)
        return false;
    if (numbers[1] == 0.5F && (two || three))
        return give_activation(call, in, &activation);
    struct onnx_tensor out = *in;
    for (size_t i = 0; i < 4; i++) {
        const struct onnx_constant number = {.n = 1, .floats = &numbers[i]};
        const struct onnx_tensor before = out;
        if (!with_constant(call, operations[i], &before, &number, false, &out))
            return false;
    }
    return onnx_give(call, &out);
}

/* x where x > alpha, else 0. */
static bool read_thresholded_relu(struct onnx_call *call)
{
    const struct onnx_tensor *in = onnx_operand(call, 0);
    const struct activation activation = {.kind = ACT_THRESHOLD, .threshold = (float)onnx_float(call, "alpha", 1)};
    return in && give_activation(call, in, &activation);
}

/* The mean: the sum of the operands divided by their number. */
static bool read_mean(struct onnx_call *call)
{
    float n = (float)call->n_in;
    const struct onnx_constant number = {.n = 1, .floats = &n};
    struct onnx_tensor out;
    if (!read_arithmetic(call))
        return false;
    const struct onnx_tensor sum = call->out[0].tensor;
    return with_constant(call, ARITHMETIC_DIVIDE, &sum, &number, false, &out) && onnx_give(call, &out);
}

/* A known condition that is equal for all elements selects one of the two operands. */
static bool read_where(struct onnx_call *call)
{
    const struct onnx_constant *condition = onnx_constant(call, 0);
    if (!condition || condition->n < 1 || !onnx_all(condition, onnx_element(condition, 0)))
        return onnx_refuse(call,
                           "is served with a condition that is known when the model is loaded, and the same for all "
                           "elements");
    const struct onnx_tensor *in = onnx_operand(call, onnx_element(condition, 0) != 0 ? 1 : 2);
    return in && onnx_give(call, in);
}

const struct onnx_row onnx_math_operators[] = {
    {"Relu", read_activation, ACT_RELU},
    {"Tanh", read_activation, ACT_TANH},
    {"Sigmoid", read_activation, ACT_SIGMOID},
    {"LeakyRelu", read_activation, ACT_LEAKY_RELU},
    {"Elu", read_activation, ACT_ELU},
    {"Celu", read_activation, ACT_CELU},
    {"Selu", read_activation, ACT_SELU},
    {"Softplus", read_activation, ACT_SOFTPLUS},
    {"Softsign", read_activation, ACT_SOFTSIGN},
    {"Gelu", read_activation, ACT_GELU},
    {"Mish", read_activation, ACT_MISH},
    {"HardSwish", read_activation, ACT_HARD_SILU},
    {"HardSigmoid", read_hard_sigmoid, 0},
    {"Softmax", read_softmax, 0},
    {"LogSoftmax", read_softmax, 1},
    {"Exp", read_function, FUNCTION_EXP},
    {"Log", read_function, FUNCTION_LOG},
    {"Sqrt", read_function, FUNCTION_SQRT},
    {"Abs", read_function, FUNCTION_ABS},
    {"Neg", read_function, FUNCTION_NEGATIVE},
    {"Sign", read_function, FUNCTION_SIGN},
    {"Reciprocal", read_function, FUNCTION_RECIPROCAL},
    {"Floor", read_function, FUNCTION_FLOOR},
    {"Ceil", read_function, FUNCTION_CEIL},
    {"Round", read_function, FUNCTION_ROUND},
    {"Sin", read_function, FUNCTION_SIN},
    {"Cos", read_function, FUNCTION_COS},
    {"Erf", read_function, FUNCTION_ERF},
    {"Not", read_function, FUNCTION_NOT},
    {"Add", read_arithmetic, ARITHMETIC_ADD},
    {"Sum", read_arithmetic, ARITHMETIC_ADD},
    {"Sub", read_arithmetic, ARITHMETIC_SUBTRACT},
    {"Mul", read_arithmetic, ARITHMETIC_MULTIPLY},
    {"Div", read_arithmetic, ARITHMETIC_DIVIDE},
    {"Max", read_arithmetic, ARITHMETIC_MAXIMUM},
    {"Min", read_arithmetic, ARITHMETIC_MINIMUM},
    {"Equal", read_arithmetic, ARITHMETIC_EQUAL},
    {"Less", read_arithmetic, ARITHMETIC_LESS},
    {"LessOrEqual", read_arithmetic, ARITHMETIC_LESS_EQUAL},
    {"Greater", read_arithmetic, ARITHMETIC_GREATER},
    {"GreaterOrEqual", read_arithmetic, ARITHMETIC_GREATER_EQUAL},
    {"And", read_arithmetic, ARITHMETIC_AND},
    {"Or", read_arithmetic, ARITHMETIC_OR},
    {"Pow", read_power, ARITHMETIC_POWER},
    {"Clip", read_clip, 0},
    {"Mean", read_mean, ARITHMETIC_ADD},
    {"Where", read_where, 0},
    {"ThresholdedRelu", read_thresholded_relu, 0},
    {NULL, NULL, 0},
};
