/* Arithmetic, comparisons and functions of constants, and of sizes that may be open. */
#include "fold.h"

#include <math.h>
#include <string.h>

enum pair_kind {
    ADD,
    SUBTRACT,
    MULTIPLY,
    DIVIDE,
    MODULO,
    POWER,
    MINIMUM,
    MAXIMUM,
    EQUAL,
    LESS,
    LESS_EQUAL,
    GREATER,
    GREATER_EQUAL,
    AND,
    OR,
    XOR
};

static double pair_of_floats(enum pair_kind kind, double a, double b)
{
    switch (kind) {
    case ADD:
        return a + b;
    case SUBTRACT:
        return a - b;
    case MULTIPLY:
        return a * b;
    case DIVIDE:
        return a / b;
    case MODULO:
        return a - b * floor(a / b);
    case POWER:
        return pow(a, b);
    case MINIMUM:
        return a < b ? a : b;
    case MAXIMUM:
        return a > b ? a : b;
    case EQUAL:
        return a == b;
    case LESS:
        return a < b;
    case LESS_EQUAL:
        return a <= b;
    case GREATER:
        return a > b;
    case GREATER_EQUAL:
        return a >= b;
    case AND:
        return a != 0 && b != 0;
    case OR:
        return a != 0 || b != 0;
    case XOR:
        return (a != 0) != (b != 0);
    }
    return NAN;
}

/* A division of whole numbers rounds towards 0. */
static bool pair_of_wholes(enum pair_kind kind, int64_t a, int64_t b, int64_t *out)
{
    double wide;
    *out = 0;
    switch (kind) {
    case ADD:
        return !__builtin_add_overflow(a, b, out);
    case SUBTRACT:
        return !__builtin_sub_overflow(a, b, out);
    case MULTIPLY:
        return !__builtin_mul_overflow(a, b, out);
    case DIVIDE:
    case MODULO:
        if (!b || (a == INT64_MIN && b == -1))
            return false;
        *out = kind == DIVIDE ? a / b : ((a % b) + b) % b;
        return true;
    default:
        wide = pair_of_floats(kind, (double)a, (double)b);
        *out = fabs(wide) < 9e18 ? (int64_t)wide : 0;
        return fabs(wide) < 9e18;
    }
}

/* Compare sizes; an open size is at least 1. Returns false if the result is unknown. */
static bool compare_open(enum pair_kind kind, struct onnx_number a, struct onnx_number b, int64_t *out)
{
    bool below = onnx_known(a) && a.value <= 0 && b.value > 0, above = onnx_known(b) && b.value <= 0 && a.value > 0;
    bool same = onnx_same(a, b);
    *out = kind == EQUAL                        ? same
           : kind == LESS || kind == LESS_EQUAL ? below || (same && kind == LESS_EQUAL)
                                                : above || (same && kind == GREATER_EQUAL);
    return below || above || same;
}

/* An element as a number with symbols. */
static struct onnx_number pair_of_open(const struct onnx_call *call, enum pair_kind kind, struct onnx_number a,
                                       struct onnx_number b)
{
    struct onnx_number out, minus = b;
    int64_t truth;
    bool good = false;
    switch (kind) {
    case ADD:
        good = onnx_add(a, b, &out);
        break;
    case SUBTRACT:
        good = b.value != INT64_MIN && (minus.value = -b.value, onnx_add(a, minus, &out));
        break;
    case MULTIPLY:
        good = onnx_multiply(a, b, &out);
        break;
    case DIVIDE:
        good = onnx_divide(a, b, &out);
        break;
    case MINIMUM:
    case MAXIMUM:
        good = onnx_same(a, b) || compare_open(LESS, a, b, &truth);
        out = !good || onnx_same(a, b) || (truth == (kind == MINIMUM)) ? a : b;
        break;
    case EQUAL:
    case LESS:
    case LESS_EQUAL:
    case GREATER:
    case GREATER_EQUAL:
        good = compare_open(kind, a, b, &truth);
        out = onnx_whole(truth);
        break;
    default:
        break;
    }
    return good ? out : onnx_unknown(call);
}

/* The sizes of two constants after broadcasting, as in NumPy. */
static bool broadcast(const struct onnx_call *call, const struct onnx_constant *a, const struct onnx_constant *b,
                      size_t *rank, struct onnx_number *sizes)
{
    *rank = a->rank > b->rank ? a->rank : b->rank;
    for (size_t i = 0; i < *rank; i++) {
        struct onnx_number x = i < a->rank ? a->sizes[a->rank - 1 - i] : onnx_whole(1),
                           y = i < b->rank ? b->sizes[b->rank - 1 - i] : onnx_whole(1);
        if (!onnx_is_whole(x, 1) && !onnx_is_whole(y, 1) && !onnx_same(x, y))
            return onnx_refuse(call, "joins constants whose sizes do not fit each other");
        sizes[*rank - 1 - i] = onnx_is_whole(x, 1) ? y : x;
    }
    return true;
}

/* The element of a constant that corresponds to element e of a tensor of these sizes. */
static size_t element_at(const struct onnx_constant *c, size_t rank, const struct onnx_number *sizes, size_t e)
{
    size_t at = 0, stride = 1;
    if (c->n == 1 || c->uniform)
        return 0;
    for (size_t i = 0; i < c->rank; i++) {
        size_t size = (size_t)sizes[rank - 1 - i].value, own = (size_t)c->sizes[c->rank - 1 - i].value;
        at += own == 1 ? 0 : e % size * stride;
        e /= size;
        stride *= own;
    }
    return at;
}

/* Make a result with the sizes of the operands. If each operand has only one element, one element stands for all. */
static bool new_result(const struct onnx_call *call, bool whole, bool uniform, size_t rank,
                       const struct onnx_number *sizes, struct onnx_constant *out, float **floats,
                       struct onnx_number **wholes)
{
    if (!uniform)
        return onnx_new_constant(call, whole, rank, sizes, out, floats, wholes);
    if (!onnx_new_constant(call, whole, 0, sizes, out, floats, wholes))
        return false;
    out->uniform = rank > 0;
    out->rank = rank;
    memcpy(out->sizes, sizes, rank * sizeof *sizes);
    return true;
}

/* Whether an element depends on the size of the model's input; *out is the element as a whole number, if it is one. */
static bool is_open(const struct onnx_constant *constant, size_t i, struct onnx_number *out)
{
    double x = onnx_element(constant, i);
    *out =
        constant->whole ? constant->wholes[constant->uniform ? 0 : i] : onnx_whole(fabs(x) < 0x1p53 ? (int64_t)x : 0);
    return constant->whole && !onnx_known(*out);
}

static bool refuse_open(const struct onnx_call *call)
{
    return onnx_refuse(call, "computes with the size of the model's input, which is not served; export the model with "
                             "that size fixed");
}

static bool fold_pair(struct onnx_call *call)
{
    enum pair_kind kind = (enum pair_kind)call->row->which;
    struct onnx_number sizes[ONNX_MAX_RANK], *wholes;
    struct onnx_constant out;
    float *floats;
    size_t rank;
    if (call->n_in != 2 || !onnx_given(call, 1))
        return onnx_refuse(call, "is served with two operands");
    const struct onnx_constant *a = &call->in[0].constant, *b = &call->in[1].constant;
    bool whole = (a->whole && b->whole) || kind >= EQUAL, one = a->n == 1 && b->n == 1;
    if (!broadcast(call, a, b, &rank, sizes) || !new_result(call, whole, one, rank, sizes, &out, &floats, &wholes))
        return false;
    for (size_t e = 0; e < out.n; e++) {
        size_t i = element_at(a, rank, sizes, e), k = element_at(b, rank, sizes, e);
        int64_t result = 0;
        struct onnx_number left, right;
        bool open = is_open(a, i, &left);
        open |= is_open(b, k, &right);
        bool exact = (a->whole || onnx_element(a, i) == (double)left.value) &&
                     (b->whole || onnx_element(b, k) == (double)right.value);
        if (open && (!whole || !exact))
            return refuse_open(call);
        if (open)
            wholes[e] = pair_of_open(call, kind, left, right);
        else if (a->whole && b->whole && !pair_of_wholes(kind, a->wholes[i].value, b->wholes[k].value, &result))
            return onnx_refuse(call, "gives a number that is too large");
        else if (a->whole && b->whole)
            wholes[e] = onnx_whole(result);
        else if (whole)
            wholes[e] = onnx_whole((int64_t)pair_of_floats(kind, onnx_element(a, i), onnx_element(b, k)));
        else
            floats[e] = (float)pair_of_floats(kind, onnx_element(a, i), onnx_element(b, k));
    }
    return onnx_give_constant(call, &out);
}

static bool fold_where(struct onnx_call *call)
{
    struct onnx_number sizes[ONNX_MAX_RANK], *wholes;
    struct onnx_constant both, out;
    float *floats;
    size_t rank;
    if (call->n_in != 3 || !onnx_given(call, 1) || !onnx_given(call, 2))
        return false;
    const struct onnx_constant *c = &call->in[0].constant, *a = &call->in[1].constant, *b = &call->in[2].constant;
    if (!broadcast(call, c, a, &rank, sizes))
        return false;
    both = (struct onnx_constant){.rank = rank};
    memcpy(both.sizes, sizes, sizeof sizes);
    if (!broadcast(call, &both, b, &rank, sizes) ||
        !new_result(call, a->whole, c->n == 1 && a->n == 1 && b->n == 1, rank, sizes, &out, &floats, &wholes))
        return false;
    for (size_t e = 0; e < out.n; e++) {
        size_t at = element_at(c, rank, sizes, e);
        if (c->whole && !onnx_known(c->wholes[at]))
            return onnx_refuse(call, "depends on the size of the model's input in a way that is not served");
        const struct onnx_constant *from = onnx_element(c, at) != 0 ? a : b;
        at = element_at(from, rank, sizes, e);
        if (out.whole)
            wholes[e] = from->wholes[at];
        else
            floats[e] = from->floats[at];
    }
    return onnx_give_constant(call, &out);
}

enum one_kind { NOT, NEGATIVE, ABSOLUTE, SQUARE_ROOT, FLOOR, CEIL, EXP, LOG, SINE, COSINE, TANH, SIGMOID, RECIPROCAL };

static double one_of(enum one_kind kind, double x)
{
    switch (kind) {
    case NOT:
        return x == 0;
    case NEGATIVE:
        return -x;
    case ABSOLUTE:
        return fabs(x);
    case SQUARE_ROOT:
        return sqrt(x);
    case FLOOR:
        return floor(x);
    case CEIL:
        return ceil(x);
    case EXP:
        return exp(x);
    case LOG:
        return log(x);
    case SINE:
        return sin(x);
    case COSINE:
        return cos(x);
    case TANH:
        return tanh(x);
    case SIGMOID:
        return 1 / (1 + exp(-x));
    case RECIPROCAL:
        return 1 / x;
    }
    return NAN;
}

static bool fold_one(struct onnx_call *call)
{
    const struct onnx_constant *in = &call->in[0].constant;
    struct onnx_constant out;
    struct onnx_number *wholes;
    float *floats;
    if (!new_result(call, in->whole, in->uniform, in->rank, in->sizes, &out, &floats, &wholes))
        return false;
    for (size_t e = 0; e < out.n; e++) {
        double x = one_of((enum one_kind)call->row->which, onnx_element(in, e));
        if (!out.whole)
            floats[e] = (float)x;
        else if (onnx_known(in->wholes[e]))
            wholes[e] = onnx_whole((int64_t)x);
        else
            wholes[e] = onnx_unknown(call);
    }
    return onnx_give_constant(call, &out);
}

/* TensorProto.DataType: 1 float, 10 float16, 11 double, 16 bfloat16; 9 truth values. */
static bool fold_cast(struct onnx_call *call)
{
    const struct onnx_constant *in = &call->in[0].constant;
    long to = onnx_int(call, "to", 1);
    bool whole = to != 1 && to != 10 && to != 11 && to != 16;
    struct onnx_constant out;
    struct onnx_number *wholes;
    float *floats;
    if (whole == in->whole && to != 9)
        return onnx_give_constant(call, in);
    if (!new_result(call, whole, in->uniform, in->rank, in->sizes, &out, &floats, &wholes))
        return false;
    for (size_t e = 0; e < out.n; e++) {
        double x = onnx_element(in, e);
        bool open = in->whole && !onnx_known(in->wholes[e]);
        if (!whole && open) /* stays a whole number, because comparisons take whole numbers */
            return in->n == 1 ? onnx_give_constant(call, in) : refuse_open(call);
        if (!whole)
            floats[e] = (float)x;
        else
            wholes[e] = onnx_whole(to == 9 ? x != 0 : fabs(x) < 9e18 ? (int64_t)x : 0);
    }
    return onnx_give_constant(call, &out);
}

/* The product, sum, minimum or maximum of all elements, which exporters apply to shapes. */
static bool fold_reduce(struct onnx_call *call)
{
    const struct onnx_constant *in = &call->in[0].constant;
    struct onnx_constant out;
    struct onnx_number *wholes;
    float *floats;
    enum pair_kind kind = (enum pair_kind)call->row->which;
    if (!in->whole || in->rank > 1 || !in->n || in->uniform)
        return onnx_refuse(call, "is computed of one list of whole numbers alone");
    size_t rank = onnx_int(call, "keepdims", 1) ? in->rank : 0;
    const struct onnx_number one = onnx_whole(1);
    if (!onnx_new_constant(call, true, rank, &one, &out, &floats, &wholes))
        return false;
    wholes[0] = in->wholes[0];
    for (size_t i = 1; i < in->n; i++) {
        int64_t result;
        if (!onnx_known(wholes[0]) || !onnx_known(in->wholes[i]))
            wholes[0] = pair_of_open(call, kind, wholes[0], in->wholes[i]);
        else if (pair_of_wholes(kind, wholes[0].value, in->wholes[i].value, &result))
            wholes[0] = onnx_whole(result);
        else
            return onnx_refuse(call, "gives a number that is too large");
    }
    return onnx_give_constant(call, &out);
}

const struct onnx_fold_row onnx_fold_numbers[] = {
    {"Add", fold_pair, ADD},
    {"Sub", fold_pair, SUBTRACT},
    {"Mul", fold_pair, MULTIPLY},
    {"Div", fold_pair, DIVIDE},
    {"Mod", fold_pair, MODULO},
    {"Pow", fold_pair, POWER},
    {"Min", fold_pair, MINIMUM},
    {"Max", fold_pair, MAXIMUM},
    {"Equal", fold_pair, EQUAL},
    {"Less", fold_pair, LESS},
    {"LessOrEqual", fold_pair, LESS_EQUAL},
    {"Greater", fold_pair, GREATER},
    {"GreaterOrEqual", fold_pair, GREATER_EQUAL},
    {"And", fold_pair, AND},
    {"Or", fold_pair, OR},
    {"Xor", fold_pair, XOR},
    {"Where", fold_where, 0},
    {"Not", fold_one, NOT},
    {"Neg", fold_one, NEGATIVE},
    {"Abs", fold_one, ABSOLUTE},
    {"Sqrt", fold_one, SQUARE_ROOT},
    {"Floor", fold_one, FLOOR},
    {"Ceil", fold_one, CEIL},
    {"Exp", fold_one, EXP},
    {"Log", fold_one, LOG},
    {"Sin", fold_one, SINE},
    {"Cos", fold_one, COSINE},
    {"Tanh", fold_one, TANH},
    {"Sigmoid", fold_one, SIGMOID},
    {"Reciprocal", fold_one, RECIPROCAL},
    {"Cast", fold_cast, 0},
    {"ReduceProd", fold_reduce, MULTIPLY},
    {"ReduceSum", fold_reduce, ADD},
    {"ReduceMax", fold_reduce, MAXIMUM},
    {"ReduceMin", fold_reduce, MINIMUM},
    {NULL, NULL, 0},
};
