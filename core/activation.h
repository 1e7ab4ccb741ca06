/* Keras's activation functions, by name and with parameters. Source: keras/activations.py (2.9, 2.15) and
   keras/src/activations/activations.py (3). Special values were measured with Keras 2.15. */
#ifndef RNN_ACTIVATION_H
#define RNN_ACTIVATION_H

#include <stddef.h>

enum activation_kind {
    ACT_LINEAR,
    ACT_TANH,
    ACT_SIGMOID,
    ACT_HARD_SIGMOID,    /* Keras 2: clip(0.2 x + 0.5, 0, 1) */
    ACT_HARD_SIGMOID_V3, /* Keras 3: clip(x / 6 + 0.5, 0, 1) */
    ACT_RELU,            /* alpha below the threshold, max_value above */
    ACT_RELU6,
    ACT_LEAKY_RELU, /* alpha */
    ACT_ELU,        /* alpha */
    ACT_SELU,
    ACT_SOFTPLUS,
    ACT_SOFTSIGN,
    ACT_SWISH,
    ACT_GELU,      /* exact, by erf */
    ACT_GELU_TANH, /* what gelu with approximate=true becomes */
    ACT_EXPONENTIAL,
    ACT_MISH,
    ACT_SOFTMAX,     /* over the units of one gate */
    ACT_LOG_SOFTMAX, /* likewise */
    /* Keras 3 only */
    ACT_CELU,
    ACT_HARD_TANH,
    ACT_HARD_SILU,
    ACT_LOG_SIGMOID,
    ACT_TANH_SHRINK,
    ACT_SOFT_SHRINK,
    ACT_HARD_SHRINK,
    ACT_SQUAREPLUS,
    ACT_SPARSE_PLUS,
    ACT_SPARSE_SIGMOID,
    ACT_SPARSEMAX,
    ACT_THRESHOLD,
    /* of ONNX's cells; without names of Keras's */
    ACT_LINE,         /* alpha x + value */
    ACT_CLIPPED_LINE, /* the same, from 0 to 1 */
    ACT_SCALED_TANH,  /* alpha tanh(value x) */
};

/* An activation with its parameters. Parameters that a kind does not use are ignored. */
struct activation {
    enum activation_kind kind;
    float alpha;     /* relu, leaky_relu, elu, celu; the threshold of the shrinks; b of squareplus */
    float max_value; /* relu; INFINITY for none */
    float threshold; /* relu, threshold */
    float value;     /* threshold: values below it become this */
};

/* One row of the table of names. */
struct activation_name {
    const char *name;             /* as Keras writes it; aliases have separate rows */
    struct activation activation; /* with Keras's default parameters */
};

/* Every name, terminated by a row whose name is NULL. */
extern const struct activation_name activation_names[];

/* The row of a name, or NULL. */
const struct activation_name *activation_find(const char *name);

/* The Keras name of a kind (the first row that has it). */
const char *activation_name_of(enum activation_kind kind);

/* Replace x[0..n) by f(x). n is the width of one gate: softmax, log_softmax and sparsemax run over the whole gate. The
   function is computed in double and rounded once. Vector forms are tested against this definition. NaN stays NaN. */
void activation_apply(const struct activation *activation, size_t n, float *x);

#endif
