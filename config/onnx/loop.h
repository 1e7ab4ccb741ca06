/* A Loop or Scan whose body is one timestep of a cell. Exporters that do not use LSTM nodes write recurrent layers in
   this form. */
#ifndef CONFIG_ONNX_LOOP_H
#define CONFIG_ONNX_LOOP_H

#include "call.h"
#include "scope.h"

enum { LOOP_MAX_STATES = 2, LOOP_MAX_TERMS = 16, LOOP_MAX_DEPTH = 64 };

/* The state of examining a body. */
struct loop {
    struct onnx_call *call;
    const json_t *body;
    struct onnx_scope scope; /* the known constants of the body */
    json_t *nodes;           /* {NAME: the node that computes it}; the nodes are borrowed */
    const char *x_t;         /* the name of the input of one timestep */
    size_t n_states;
    const char *before[LOOP_MAX_STATES],
        *after[LOOP_MAX_STATES]; /* the names of each state before and after the timestep */
    size_t units;
};

/* A part of a value: as many elements of its last axis as there are units, from element `first` on. depth: the number
   of nodes passed on the way to the value. */
struct loop_part {
    const char *name;
    size_t first, depth;
};

/* A summand of a gate, before its activation. */
enum loop_term_kind {
    TERM_X,        /* x_t times columns of a matrix */
    TERM_STATE,    /* the state `state` times columns of a matrix */
    TERM_PRODUCT,  /* two factors, one of them the state, times columns of a matrix: (r * h) @ R */
    TERM_CONSTANT, /* elements of a vector */
    TERM_OTHER,    /* any other value */
};
struct loop_term {
    enum loop_term_kind kind;
    struct onnx_constant constant; /* for a matrix: [rows, columns], or its transpose */
    bool transposed;
    size_t first, state;
    const char *other; /* the other factor, or the other value */
};

/* A gate: an activation of a sum. */
struct loop_gate {
    const char *activation; /* ONNX's name */
    double alpha, beta;
    bool has_alpha;
    size_t n;
    struct loop_term terms[LOOP_MAX_TERMS];
};

/* The name before nodes that change nothing. */
const char *loop_follow(const struct loop *loop, const char *name);
/* The node of the body that computes a name, or NULL. */
const json_t *loop_node(const struct loop *loop, const char *name);
/* Whether a name is computed by this operator from two operands. operands become their names, before nodes that change
   nothing. */
bool loop_is(const struct loop *loop, const char *name, const char *op, const char *operands[2]);
bool loop_constant(const struct loop *loop, const char *name, struct onnx_constant *out);
/* The state whose name before the timestep is this one; LOOP_MAX_STATES if there is none. */
size_t loop_state(const struct loop *loop, const char *name);

/* Read a gate: an activation and its summands. Returns false if the name is not a gate. */
bool loop_gate_of(const struct loop *loop, const char *name, struct loop_gate *out);
/* Add the summands of a value. Returns false if there are too many. */
bool loop_terms_of(const struct loop *loop, struct loop_part part, struct loop_gate *out);

/* The cell that a body computes, as an ONNX node with its weights in ONNX's layout. */
struct loop_cell {
    const char *op; /* "LSTM", "GRU", "RNN" */
    size_t h, c, gates;
    bool linear_before_reset;
    struct loop_gate gate[4];   /* in ONNX's order */
    struct loop_gate recurrent; /* of a GRU with linear_before_reset: the sum that the reset gate multiplies */
    const char *last;           /* of an LSTM: the activation of c */
};
bool loop_find_cell(const struct loop *loop, struct loop_cell *out);

#endif
