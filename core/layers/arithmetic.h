/* Arithmetic of tensors and constants, and elementwise functions: operations that Keras writes as layers. */
#ifndef RNN_LAYERS_ARITHMETIC_H
#define RNN_LAYERS_ARITHMETIC_H

#include "layer.h"

enum { ARITHMETIC_MAX_INPUTS = 64 };

/* Comparisons and logic give 1 for true and 0 for false. */
enum arithmetic_operation {
    ARITHMETIC_ADD,
    ARITHMETIC_SUBTRACT,
    ARITHMETIC_MULTIPLY,
    ARITHMETIC_DIVIDE,
    ARITHMETIC_FLOOR_DIVIDE,
    ARITHMETIC_MODULO, /* with the sign of the divisor, as in Python */
    ARITHMETIC_POWER,
    ARITHMETIC_MAXIMUM,
    ARITHMETIC_MINIMUM,
    ARITHMETIC_SQUARED_DIFFERENCE,
    ARITHMETIC_EQUAL,
    ARITHMETIC_NOT_EQUAL,
    ARITHMETIC_GREATER,
    ARITHMETIC_GREATER_EQUAL,
    ARITHMETIC_LESS,
    ARITHMETIC_LESS_EQUAL,
    ARITHMETIC_AND,
    ARITHMETIC_OR,
};

/**
 * The own struct of layer_arithmetic: its inputs from left to right, or its input and a constant.
 *
 * An axis of size 1 is broadcast, as in NumPy. Tensors have the same number of axes; otherwise NumPy would match the
 * batch with another axis. The constant may have fewer axes. It may also have an axis of size 1 for the batch.
 */
struct arithmetic {
    enum arithmetic_operation operation;
    bool constant_first;
    size_t rank, axes[LAYER_MAX_AXES + 1];
    float *constant; /* NULL: no constant */
};

enum function_kind {
    FUNCTION_ABS,
    FUNCTION_SQUARE,
    FUNCTION_SQRT,
    FUNCTION_RSQRT,
    FUNCTION_NEGATIVE,
    FUNCTION_RECIPROCAL,
    FUNCTION_EXP,
    FUNCTION_EXPM1,
    FUNCTION_LOG,
    FUNCTION_LOG1P,
    FUNCTION_SIGN,
    FUNCTION_SIN,
    FUNCTION_COS,
    FUNCTION_ERF,
    FUNCTION_FLOOR,
    FUNCTION_CEIL,
    FUNCTION_ROUND,    /* rounds halves to even */
    FUNCTION_TRUNCATE, /* a cast to whole numbers */
    FUNCTION_NOT_ZERO, /* a cast to bool */
    FUNCTION_NOT,
    FUNCTION_ZERO, /* the result does not depend on the input */
    FUNCTION_ONE,
};

/* The own struct of layer_function. */
struct function {
    enum function_kind kind;
};

extern const struct layer_class layer_arithmetic, layer_function;

#endif
