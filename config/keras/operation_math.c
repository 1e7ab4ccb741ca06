/* Operations that compute: arithmetic, functions, sums, products of matrices. */
#include "core/layers/activation.h"
#include "core/layers/arithmetic.h"
#include "core/layers/matmul.h"
#include "core/layers/reduce.h"

#include "operation_call.h"

#include <stdlib.h>
#include <string.h>

/* Combine x with a constant. */
static bool with_constant(struct operation_call *call, enum arithmetic_operation operation, size_t value,
                          const json_t *constant, bool first, size_t *output)
{
    size_t rank, axes[LAYER_MAX_AXES + 1];
    float *numbers = value == GRAPH_NONE ? NULL : operation_constant(call, constant, &rank, axes);
    struct layer *layer = numbers ? operation_layer(call, &layer_arithmetic) : NULL;
    if (!layer) {
        free(numbers);
        return false;
    }
    struct arithmetic *own = layer->own;
    *own = (struct arithmetic){.operation = operation, .constant_first = first, .rank = rank, .constant = numbers};
    memcpy(own->axes, axes, rank * sizeof *axes);
    return operation_node(call, &value, 1, output);
}

/* Two operands; one of them may be a constant. */
static bool read_pair(struct operation_call *call)
{
    enum arithmetic_operation operation = (enum arithmetic_operation)call->row->which;
    if (call->n_operands != 2 || (!operation_is_tensor(call, 0) && !operation_is_tensor(call, 1)))
        return operation_refuse(call, "is supported with two operands, if at least one is a tensor of a layer");
    if (!operation_is_tensor(call, 0) || !operation_is_tensor(call, 1)) {
        size_t tensor = operation_is_tensor(call, 0) ? 0 : 1;
        call->n_outputs = 1;
        return with_constant(call, operation, operation_value(call, tensor), call->operands[1 - tensor], tensor == 1,
                             &call->outputs[0]);
    }
    size_t inputs[2] = {operation_value(call, 0), operation_value(call, 1)};
    struct layer *layer = operation_layer(call, &layer_arithmetic);
    if (!layer)
        return false;
    ((struct arithmetic *)layer->own)->operation = operation;
    return operation_give(call, inputs, 2);
}

/* add_n: a list of tensors. */
static bool read_sum_of_all(struct operation_call *call)
{
    size_t inputs[OPERATION_MAX_OPERANDS];
    for (size_t i = 0; i < call->n_operands; i++)
        inputs[i] = operation_value(call, i);
    struct layer *layer = operation_layer(call, &layer_arithmetic);
    return layer && operation_give(call, inputs, call->n_operands);
}

static const char *const least_names[] = {"clip_value_min", "x_min", "min_value", NULL}, *const most_names[] = {
                                                                                             "clip_value_max", "x_max",
                                                                                             "max_value", NULL};

static bool read_clip(struct operation_call *call)
{
    const json_t *least = operation_argument(call, least_names), *most = operation_argument(call, most_names);
    size_t value = operation_value(call, 0);
    if (call->n_operands != 1 || !least || !most)
        return operation_refuse(call, "is supported with one tensor, a minimum and a maximum");
    call->n_outputs = 1;
    return with_constant(call, ARITHMETIC_MAXIMUM, value, least, false, &value) &&
           with_constant(call, ARITHMETIC_MINIMUM, value, most, false, &call->outputs[0]);
}

/* One tensor, and no other operand. */
static bool read_one(struct operation_call *call, size_t *value)
{
    if (call->n_operands != 1)
        return operation_refuse(call, "is supported with one tensor of a layer");
    *value = operation_value(call, 0);
    return *value != GRAPH_NONE;
}

static bool read_function(struct operation_call *call)
{
    size_t value;
    long decimals = 0;
    if (!operation_whole(call, "decimals", &decimals) || decimals)
        return operation_refuse(call, "is supported only with decimals 0");
    struct layer *layer = read_one(call, &value) ? operation_layer(call, &layer_function) : NULL;
    if (!layer)
        return false;
    ((struct function *)layer->own)->kind = (enum function_kind)call->row->which;
    return operation_give(call, &value, 1);
}

/* A numeric argument of an activation, under one of its names. */
static bool read_slope(const struct operation_call *call, float *out)
{
    static const char *const names[] = {"alpha", "negative_slope", NULL};
    const json_t *value = operation_argument(call, names);
    if (value && !json_is_number(value))
        return operation_refuse(call, "is called with alpha, which must be a number");
    *out = value ? (float)json_number_value(value) : *out;
    return true;
}

static bool read_activation(struct operation_call *call)
{
    size_t value;
    const char *name = activation_name_of((enum activation_kind)call->row->which);
    struct activation activation = activation_find(name)->activation;
    if (activation.kind == ACT_LEAKY_RELU)
        activation.alpha = 0.2F;
    if (!read_slope(call, &activation.alpha) || !read_one(call, &value))
        return false;
    struct layer *layer = operation_layer(call, &layer_activation);
    if (!layer)
        return false;
    *(struct activation *)layer->own = activation;
    return operation_give(call, &value, 1);
}

/* tf.nn.gelu is exact without approximate, keras.ops.gelu is not. */
static bool read_gelu(struct operation_call *call)
{
    size_t value;
    const json_t *option = operation_option(call, "approximate");
    bool approximate = option ? json_is_true(option) : call->reader->keras_major > 2;
    struct layer *layer = read_one(call, &value) ? operation_layer(call, &layer_activation) : NULL;
    if (!layer)
        return false;
    ((struct activation *)layer->own)->kind = approximate ? ACT_GELU_TANH : ACT_GELU;
    return operation_give(call, &value, 1);
}

static bool read_along(struct operation_call *call)
{
    enum along_operation operation = (enum along_operation)call->row->which;
    const json_t *epsilon = operation_option(call, "epsilon");
    struct along own = {.operation = operation, .axis = -1, .epsilon = 1e-12};
    size_t value;
    if (!operation_option(call, "axis") && operation != ALONG_SOFTMAX && operation != ALONG_LOG_SOFTMAX)
        return operation_refuse(call, "is supported only with an axis");
    if (epsilon)
        own.epsilon = json_number_value(epsilon);
    if (!operation_whole(call, "axis", &own.axis) || !read_one(call, &value))
        return false;
    bool activation = own.axis == -1 && (operation == ALONG_SOFTMAX || operation == ALONG_LOG_SOFTMAX);
    struct layer *layer = operation_layer(call, activation ? &layer_activation : &layer_along);
    if (!layer)
        return false;
    if (activation)
        ((struct activation *)layer->own)->kind = operation == ALONG_SOFTMAX ? ACT_SOFTMAX : ACT_LOG_SOFTMAX;
    else
        *(struct along *)layer->own = own;
    return operation_give(call, &value, 1);
}

static bool read_reduce(struct operation_call *call)
{
    const json_t *axis = operation_option(call, "axis");
    struct reduce own = {.operation = (enum reduce_operation)call->row->which};
    size_t value;
    own.keepdims = operation_flag(call, "keepdims");
    if (!axis)
        return operation_refuse(call, "is supported only with an axis: without one it mixes the rows of a batch");
    if (!operation_list(call, "axis", axis, LAYER_MAX_AXES, own.axes, &own.n) || !read_one(call, &value))
        return false;
    struct layer *layer = operation_layer(call, &layer_reduce);
    if (!layer)
        return false;
    *(struct reduce *)layer->own = own;
    return operation_give(call, &value, 1);
}

static bool read_matmul(struct operation_call *call)
{
    if (call->n_operands != 2)
        return operation_refuse(call, "is supported with two tensors of layers");
    size_t inputs[2] = {operation_value(call, 0), operation_value(call, 1)};
    if (inputs[0] == GRAPH_NONE || inputs[1] == GRAPH_NONE)
        return false;
    struct layer *layer = operation_layer(call, &layer_matmul);
    if (!layer)
        return false;
    struct matmul *own = layer->own;
    own->transposed[0] = operation_flag(call, "transpose_a") || operation_flag(call, "adjoint_a");
    own->transposed[1] = operation_flag(call, "transpose_b") || operation_flag(call, "adjoint_b");
    return operation_give(call, inputs, 2);
}

/* A cast to the type that the numbers already have returns the tensor itself, with its mask. */
static bool read_cast(struct operation_call *call)
{
    const char *type = json_string_value(operation_option(call, "dtype"));
    size_t value;
    if (!type) /* convert_to_tensor */
        type = "float32";
    bool whole = !strncmp(type, "int", 3) || !strncmp(type, "uint", 4), truth = !strcmp(type, "bool");
    if (!whole && !truth && !strstr(type, "float"))
        return operation_refuse(call, "to the type %.30s is not supported", type);
    struct layer *layer =
        read_one(call, &value) ? operation_layer(call, whole || truth ? &layer_function : &layer_identity) : NULL;
    if (!layer)
        return false;
    if (whole || truth)
        ((struct function *)layer->own)->kind = whole ? FUNCTION_TRUNCATE : FUNCTION_NOT_ZERO;
    else if (!strcmp(type, "float32"))
        layer->masks = MASKS_PASS;
    return operation_give(call, &value, 1);
}

static bool read_same(struct operation_call *call)
{
    size_t value;
    return read_one(call, &value) && operation_layer(call, &layer_identity) && operation_give(call, &value, 1);
}

static const char *const none[] = {NULL};
static const char *const round_keys[] = {"decimals", NULL};
static const char *const axis_keys[] = {"axis", "keepdims", NULL};
static const char *const along_keys[] = {"axis", NULL};
static const char *const normalize_keys[] = {"axis", "epsilon", NULL};
static const char *const slope_keys[] = {"alpha", "negative_slope", NULL};
static const char *const gelu_keys[] = {"approximate", NULL};
static const char *const clip_keys[] = {"clip_value_min", "clip_value_max", "x_min", "x_max",
                                        "min_value",      "max_value",      NULL};
static const char *const matmul_keys[] = {"transpose_a", "transpose_b", "adjoint_a", "adjoint_b", NULL};

const struct operation_row keras_math_operations[] = {
    {"add", read_pair, ARITHMETIC_ADD, none},
    {"subtract", read_pair, ARITHMETIC_SUBTRACT, none},
    {"multiply", read_pair, ARITHMETIC_MULTIPLY, none},
    {"divide", read_pair, ARITHMETIC_DIVIDE, none},
    {"truediv", read_pair, ARITHMETIC_DIVIDE, none},
    {"true_divide", read_pair, ARITHMETIC_DIVIDE, none},
    {"floordiv", read_pair, ARITHMETIC_FLOOR_DIVIDE, none},
    {"floor_divide", read_pair, ARITHMETIC_FLOOR_DIVIDE, none},
    {"floormod", read_pair, ARITHMETIC_MODULO, none},
    {"mod", read_pair, ARITHMETIC_MODULO, none},
    {"pow", read_pair, ARITHMETIC_POWER, none},
    {"power", read_pair, ARITHMETIC_POWER, none},
    {"maximum", read_pair, ARITHMETIC_MAXIMUM, none},
    {"minimum", read_pair, ARITHMETIC_MINIMUM, none},
    {"squared_difference", read_pair, ARITHMETIC_SQUARED_DIFFERENCE, none},
    {"equal", read_pair, ARITHMETIC_EQUAL, none},
    {"not_equal", read_pair, ARITHMETIC_NOT_EQUAL, none},
    {"greater", read_pair, ARITHMETIC_GREATER, none},
    {"greater_equal", read_pair, ARITHMETIC_GREATER_EQUAL, none},
    {"less", read_pair, ARITHMETIC_LESS, none},
    {"less_equal", read_pair, ARITHMETIC_LESS_EQUAL, none},
    {"logical_and", read_pair, ARITHMETIC_AND, none},
    {"logical_or", read_pair, ARITHMETIC_OR, none},
    {"add_n", read_sum_of_all, ARITHMETIC_ADD, none},
    {"clip", read_clip, 0, clip_keys},
    {"clip_by_value", read_clip, 0, clip_keys},
    {"abs", read_function, FUNCTION_ABS, none},
    {"absolute", read_function, FUNCTION_ABS, none},
    {"square", read_function, FUNCTION_SQUARE, none},
    {"sqrt", read_function, FUNCTION_SQRT, none},
    {"rsqrt", read_function, FUNCTION_RSQRT, none},
    {"negative", read_function, FUNCTION_NEGATIVE, none},
    {"reciprocal", read_function, FUNCTION_RECIPROCAL, none},
    {"exp", read_function, FUNCTION_EXP, none},
    {"expm1", read_function, FUNCTION_EXPM1, none},
    {"log", read_function, FUNCTION_LOG, none},
    {"log1p", read_function, FUNCTION_LOG1P, none},
    {"sign", read_function, FUNCTION_SIGN, none},
    {"sin", read_function, FUNCTION_SIN, none},
    {"cos", read_function, FUNCTION_COS, none},
    {"floor", read_function, FUNCTION_FLOOR, none},
    {"ceil", read_function, FUNCTION_CEIL, none},
    {"round", read_function, FUNCTION_ROUND, round_keys},
    {"logical_not", read_function, FUNCTION_NOT, none},
    {"tanh", read_activation, ACT_TANH, none},
    {"sigmoid", read_activation, ACT_SIGMOID, none},
    {"relu", read_activation, ACT_RELU, none},
    {"relu6", read_activation, ACT_RELU6, none},
    {"leaky_relu", read_activation, ACT_LEAKY_RELU, slope_keys},
    {"elu", read_activation, ACT_ELU, slope_keys},
    {"selu", read_activation, ACT_SELU, none},
    {"softplus", read_activation, ACT_SOFTPLUS, none},
    {"softsign", read_activation, ACT_SOFTSIGN, none},
    {"silu", read_activation, ACT_SWISH, none},
    {"swish", read_activation, ACT_SWISH, none},
    {"gelu", read_gelu, 0, gelu_keys},
    {"softmax", read_along, ALONG_SOFTMAX, along_keys},
    {"log_softmax", read_along, ALONG_LOG_SOFTMAX, along_keys},
    {"l2_normalize", read_along, ALONG_L2_NORMALIZE, normalize_keys},
    {"cumsum", read_along, ALONG_SUM_SO_FAR, along_keys},
    {"reduce_sum", read_reduce, REDUCE_SUM, axis_keys},
    {"sum", read_reduce, REDUCE_SUM, axis_keys},
    {"reduce_mean", read_reduce, REDUCE_MEAN, axis_keys},
    {"mean", read_reduce, REDUCE_MEAN, axis_keys},
    {"reduce_max", read_reduce, REDUCE_MAX, axis_keys},
    {"max", read_reduce, REDUCE_MAX, axis_keys},
    {"reduce_min", read_reduce, REDUCE_MIN, axis_keys},
    {"min", read_reduce, REDUCE_MIN, axis_keys},
    {"reduce_prod", read_reduce, REDUCE_PRODUCT, axis_keys},
    {"prod", read_reduce, REDUCE_PRODUCT, axis_keys},
    {"reduce_any", read_reduce, REDUCE_ANY, axis_keys},
    {"any", read_reduce, REDUCE_ANY, axis_keys},
    {"reduce_all", read_reduce, REDUCE_ALL, axis_keys},
    {"all", read_reduce, REDUCE_ALL, axis_keys},
    {"reduce_variance", read_reduce, REDUCE_VARIANCE, axis_keys},
    {"var", read_reduce, REDUCE_VARIANCE, axis_keys},
    {"reduce_std", read_reduce, REDUCE_DEVIATION, axis_keys},
    {"std", read_reduce, REDUCE_DEVIATION, axis_keys},
    {"reduce_logsumexp", read_reduce, REDUCE_LOG_SUM_EXP, axis_keys},
    {"logsumexp", read_reduce, REDUCE_LOG_SUM_EXP, axis_keys},
    {"matmul", read_matmul, 0, matmul_keys},
    {"zeros_like", read_function, FUNCTION_ZERO, none},
    {"ones_like", read_function, FUNCTION_ONE, none},
    {"cast", read_cast, 0, none},
    {"convert_to_tensor", read_cast, 0, none},
    {"identity", read_same, 0, none},
    {"stop_gradient", read_same, 0, none},
    {NULL, NULL, 0, NULL},
};
