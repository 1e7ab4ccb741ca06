/* A Loop or Scan whose body is one timestep of a cell: exporters that know no LSTM node write recurrent layers so. */
#ifndef CONFIG_ONNX_LOOP_H
#define CONFIG_ONNX_LOOP_H

#include "call.h"
#include "scope.h"

enum { LOOP_MAX_STATES = 2, LOOP_MAX_TERMS = 16, LOOP_MAX_DEPTH = 64 };

/* The body while it is looked at. */
struct loop {
    struct onnx_call *call;
    const json_t *body;
    struct onnx_scope scope; /* constants that the body knows */
    json_t *nodes;           /* {NAME: node that gives it}, borrowed nodes */
    const char *x_t;         /* the name of the input of one timestep */
    size_t n_states;
    const char *before[LOOP_MAX_STATES],
        *after[LOOP_MAX_STATES]; /* names of each state before and after the timestep */
    size_t units;
};

/* As many of the last axis' elements of a value as there are units, from the first-th on. depth: nodes that were passed on
   the way to the value. */
struct loop_part {
    const char *name;
    size_t first, depth;
};

/* A summand of a gate, before its activation. */
enum loop_term_kind {
    TERM_X,        /* x_t times columns of a matrix */
    TERM_STATE,    /* the state `state` times columns */
    TERM_PRODUCT,  /* two factors, one of which is that state, times columns: (r * h) @ R */
    TERM_CONSTANT, /* elements of a vector */
    TERM_OTHER,    /* a value that is none of these */
};
struct loop_term {
    enum loop_term_kind kind;
    struct onnx_constant constant; /* of a matrix: [rows, columns], or its transpose */
    bool transposed;
    size_t first, state;
    const char *other; /* the other factor, or value */
};

/* What a gate is: an activation of a sum. */
struct loop_gate {
    const char *activation; /* ONNX's name */
    double alpha, beta;
    bool has_alpha;
    size_t n;
    struct loop_term terms[LOOP_MAX_TERMS];
};

/* A name without the nodes that change nothing. */
const char *loop_follow(const struct loop *loop, const char *name);
/* The node that gives a name; NULL: none in the body. */
const json_t *loop_node(const struct loop *loop, const char *name);
/* Its operator is this one, of two operands, which are followed. */
bool loop_is(const struct loop *loop, const char *name, const char *op, const char *operands[2]);
bool loop_constant(const struct loop *loop, const char *name, struct onnx_constant *out);
/* Which state a name is before the timestep; LOOP_MAX_STATES: none. */
size_t loop_state(const struct loop *loop, const char *name);

/* An activation and the summands that go into it; false where the name is none. */
bool loop_gate_of(const struct loop *loop, const char *name, struct loop_gate *out);
/* Summands of a value; false where there are too many. */
bool loop_terms_of(const struct loop *loop, struct loop_part part, struct loop_gate *out);

/* What a body computes: a node of ONNX's own, with its weights in ONNX's layout. */
struct loop_cell {
    const char *op; /* "LSTM", "GRU", "RNN" */
    size_t h, c, gates;
    bool linear_before_reset;
    struct loop_gate gate[4];   /* in ONNX's order */
    struct loop_gate recurrent; /* of a GRU with linear_before_reset: what is multiplied by the reset gate */
    const char *last;           /* of an LSTM: the activation of c */
};
bool loop_find_cell(const struct loop *loop, struct loop_cell *out);

#endif
