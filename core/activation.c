/* Activation functions in plain C and double. They define the correct results for the vector forms. */
#include "activation.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

const struct activation_name activation_names[] = {
    {"linear", {.kind = ACT_LINEAR}},
    {"tanh", {.kind = ACT_TANH}},
    {"sigmoid", {.kind = ACT_SIGMOID}},
    {"hard_sigmoid", {.kind = ACT_HARD_SIGMOID}},
    {"hard_sigmoid_v3", {.kind = ACT_HARD_SIGMOID_V3}},
    {"relu", {.kind = ACT_RELU, .alpha = 0, .max_value = INFINITY, .threshold = 0}},
    {"relu6", {.kind = ACT_RELU6}},
    {"leaky_relu", {.kind = ACT_LEAKY_RELU, .alpha = 0.2f}},
    {"elu", {.kind = ACT_ELU, .alpha = 1}},
    {"selu", {.kind = ACT_SELU}},
    {"softplus", {.kind = ACT_SOFTPLUS}},
    {"softsign", {.kind = ACT_SOFTSIGN}},
    {"swish", {.kind = ACT_SWISH}},
    {"silu", {.kind = ACT_SWISH}},
    {"gelu", {.kind = ACT_GELU}},
    {"gelu_tanh", {.kind = ACT_GELU_TANH}},
    {"exponential", {.kind = ACT_EXPONENTIAL}},
    {"mish", {.kind = ACT_MISH}},
    {"softmax", {.kind = ACT_SOFTMAX}},
    {"log_softmax", {.kind = ACT_LOG_SOFTMAX}},
    {"celu", {.kind = ACT_CELU, .alpha = 1}},
    {"hard_tanh", {.kind = ACT_HARD_TANH}},
    {"hard_silu", {.kind = ACT_HARD_SILU}},
    {"hard_swish", {.kind = ACT_HARD_SILU}},
    {"log_sigmoid", {.kind = ACT_LOG_SIGMOID}},
    {"tanh_shrink", {.kind = ACT_TANH_SHRINK}},
    {"soft_shrink", {.kind = ACT_SOFT_SHRINK, .alpha = 0.5f}},
    {"hard_shrink", {.kind = ACT_HARD_SHRINK, .alpha = 0.5f}},
    {"squareplus", {.kind = ACT_SQUAREPLUS, .alpha = 4}},
    {"sparse_plus", {.kind = ACT_SPARSE_PLUS}},
    {"sparse_sigmoid", {.kind = ACT_SPARSE_SIGMOID}},
    {"sparsemax", {.kind = ACT_SPARSEMAX}},
    {"threshold", {.kind = ACT_THRESHOLD}},
    {NULL, {.kind = ACT_LINEAR}},
};

const struct activation_name *activation_find(const char *name)
{
    for (const struct activation_name *row = activation_names; row->name; row++)
        if (!strcmp(row->name, name))
            return row;
    return NULL;
}

const char *activation_name_of(enum activation_kind kind)
{
    for (const struct activation_name *row = activation_names; row->name; row++)
        if (row->activation.kind == kind)
            return row->name;
    return "?";
}

static double sigmoid(double x)
{
    if (x >= 0)
        return 1 / (1 + exp(-x));
    double e = exp(x);
    return e / (1 + e);
}

static double softplus(double x)
{
    return (x > 0 ? x : x < 0 ? 0 : x) + log1p(exp(-fabs(x)));
}

/* The comparisons are false for NaN, so that NaN stays x. */
static double clip(double x, double low, double high)
{
    return x < low ? low : x > high ? high : x;
}

/* Keras 2's backend.relu: at x == threshold with a threshold that is not 0 the code uses x > threshold. */
static double relu(const struct activation *a, double x)
{
    double threshold = (double)a->threshold;
    if (isnan(x))
        return x;
    if (x >= (double)a->max_value)
        return (double)a->max_value;
    if (threshold != 0 ? x > threshold : x >= 0)
        return x;
    return threshold == 0 && a->alpha == 0 ? 0 : (double)a->alpha * (x - threshold);
}

/* The piecewise polynomial functions; x itself for the others. */
static double piecewise(const struct activation *a, double x)
{
    double alpha = (double)a->alpha;
    switch (a->kind) {
    case ACT_HARD_SIGMOID:
        return clip(0.2 * x + 0.5, 0, 1);
    case ACT_HARD_SIGMOID_V3:
        return clip(x / 6 + 0.5, 0, 1);
    case ACT_RELU:
        return relu(a, x);
    case ACT_RELU6:
        return clip(x, 0, 6);
    case ACT_LEAKY_RELU:
        return x < 0 ? alpha * x : x;
    case ACT_HARD_TANH:
        return clip(x, -1, 1);
    case ACT_HARD_SILU:
        return x * clip(x / 6 + 0.5, 0, 1);
    case ACT_SOFT_SHRINK:
        return x > alpha ? x - alpha : x < -alpha ? x + alpha : isnan(x) ? x : 0;
    case ACT_HARD_SHRINK:
        return fabs(x) <= alpha ? 0 : x;
    case ACT_SPARSE_PLUS:
        return x <= -1 ? 0 : x >= 1 || isnan(x) ? x : (x + 1) * (x + 1) / 4;
    case ACT_SPARSE_SIGMOID:
        return clip((x + 1) / 2, 0, 1);
    case ACT_THRESHOLD:
        return x > (double)a->threshold || isnan(x) ? x : (double)a->value;
    case ACT_LINE:
        return (double)a->alpha * x + (double)a->value;
    case ACT_CLIPPED_LINE:
        return clip((double)a->alpha * x + (double)a->value, 0, 1);
    case ACT_SCALED_TANH:
        return (double)a->alpha * tanh((double)a->value * x);
    default: /* linear; and those over a whole gate, below */
        return x;
    }
}

static double scalar(const struct activation *a, double x)
{
    double alpha = (double)a->alpha;
    switch (a->kind) {
    case ACT_TANH:
        return tanh(x);
    case ACT_SIGMOID:
        return sigmoid(x);
    case ACT_ELU:
        return x < 0 ? alpha * expm1(x) : x;
    case ACT_SELU:
        return 1.05070098735548049342 * (x < 0 ? 1.67326324235437728481 * expm1(x) : x);
    case ACT_SOFTPLUS:
        return softplus(x);
    case ACT_SOFTSIGN:
        return x / (1 + fabs(x));
    case ACT_SWISH:
        return x * sigmoid(x);
    case ACT_GELU:
        return 0.5 * x * erfc(-x * 0.70710678118654752440);
    case ACT_GELU_TANH:
        return 0.5 * x * (1 + tanh(0.79788456080286535588 * (x + 0.044715 * x * x * x)));
    case ACT_EXPONENTIAL:
        return exp(x);
    case ACT_MISH:
        return x * tanh(softplus(x));
    case ACT_CELU:
        return x < 0 ? alpha * expm1(x / alpha) : x;
    case ACT_LOG_SIGMOID:
        return -softplus(-x);
    case ACT_TANH_SHRINK:
        return x - tanh(x);
    case ACT_SQUAREPLUS:
        return (x + sqrt(x * x + alpha)) / 2;
    default:
        return piecewise(a, x);
    }
}

static void softmax(size_t n, float *x, bool logarithm)
{
    double max = -INFINITY, sum = 0;
    for (size_t i = 0; i < n; i++)
        if (!((double)x[i] <= max)) /* true for NaN too, which then spreads as in Keras */
            max = (double)x[i];
    for (size_t i = 0; i < n; i++)
        sum += exp((double)x[i] - max);
    for (size_t i = 0; i < n; i++) {
        double shifted = (double)x[i] - max;
        x[i] = (float)(logarithm ? shifted - log(sum) : exp(shifted) / sum);
    }
}

/* Martins and Astudillo, "From Softmax to Sparsemax", 2016, algorithm 1, as Keras 3 computes it: the threshold is made
   from the sum of all cumulative sums within the support, not from the last of them. */
static void sparsemax(size_t n, float *x)
{
    double sums = 0;
    size_t support = 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0; /* cumulative sum at the place that x[i] has in descending order */
        size_t place = 0;
        for (size_t j = 0; j < n; j++)
            if (x[j] > x[i] || (j <= i && x[j] == x[i])) {
                sum += (double)x[j];
                place++;
            }
        if (1 + (double)place * (double)x[i] > sum) {
            sums += sum;
            support++;
        }
    }
    double tau = (sums - 1) / (double)support;
    for (size_t i = 0; i < n; i++) {
        double y = (double)x[i] - tau;
        x[i] = !support ? NAN : (float)(y < 0 ? 0 : y); /* no support: a NaN among the numbers */
    }
}

void activation_apply(const struct activation *activation, size_t n, float *x)
{
    switch (activation->kind) {
    case ACT_LINEAR:
        return;
    case ACT_SOFTMAX:
        softmax(n, x, false);
        return;
    case ACT_LOG_SOFTMAX:
        softmax(n, x, true);
        return;
    case ACT_SPARSEMAX:
        sparsemax(n, x);
        return;
    default:
        for (size_t i = 0; i < n; i++)
            x[i] = (float)scalar(activation, (double)x[i]);
    }
}
