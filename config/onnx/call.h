/* The state of converting one node of an ONNX graph: its operands, its attributes, and the new layers. */
#ifndef CONFIG_ONNX_CALL_H
#define CONFIG_ONNX_CALL_H

#include "value.h"

#include "config/files/tensors.h"
#include "config/keras/model.h"

#include <jansson.h>

enum { ONNX_MAX_OPERANDS = 64 };

/* The state of converting one model. */
struct onnx_convert {
    struct keras_reader reader;
    struct tensor_set *from, *to;
    struct keras_model *out;
    size_t to_room;
    long opset;
    long batch;              /* the fixed size of the batch; 0 if it is open */
    unsigned char n_symbols; /* the number of symbols in use */
    json_t *uses, *needed;   /* uses: how many nodes take a name; needed: the names that lead to an output */
    const json_t *states;    /* {INPUT: OUTPUT}, or NULL */
    json_t *tied;            /* the recurrent nodes whose layers store the states themselves, by their first output */
    bool native;             /* these layers store all states of `states` */
    json_t *batches;         /* the batch axis of each input, by name */
    void **memory;           /* [n_memory]: memory of constants */
    size_t n_memory, room;
    bool no_memory;             /* an allocation has failed */
    size_t folded, most_folded; /* elements that folding has made; at most; 0: not computed */
};

/* The node that is being converted. Missing operands are ONNX_NOTHING. */
struct onnx_call {
    struct onnx_convert *c;
    struct onnx_scope *scope; /* the visible names, for the graphs in its attributes */
    const json_t *node;
    const char *op, *name; /* name: the name of the node, or of its first output */
    const struct onnx_row *row;
    struct onnx_value *in, *out;
    size_t n_in, n_out;
};

/* A row of a table of operators; each table ends with a row without a name. */
struct onnx_row {
    const char *op;
    bool (*read)(struct onnx_call *call);
    int which; /* an argument for `read`, which may serve several rows */
};
extern const struct onnx_row onnx_math_operators[], onnx_shape_operators[], onnx_dense_operators[],
    onnx_recurrent_operators[], onnx_window_operators[], onnx_normalize_operators[], onnx_pad_operators[],
    onnx_loop_operators[], onnx_reduce_operators[];

/* Add the problem "node \"NAME\" (OP) …". The sentence may end with what to do, after a semicolon; otherwise a general
   remedy is added. Always returns false. */
bool onnx_refuse(const struct onnx_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool onnx_no_memory(const struct onnx_call *call);

/* ---- attributes ---- */

long onnx_int(const struct onnx_call *call, const char *key, long otherwise);
double onnx_float(const struct onnx_call *call, const char *key, double otherwise);
const char *onnx_text(const struct onnx_call *call, const char *key, const char *otherwise);
bool onnx_has(const struct onnx_call *call, const char *key);
/* Read a list of whole numbers from an attribute, or from operand `operand`, where newer opsets have it (SIZE_MAX: no
   such operand). *n is 0 if it is missing. Returns false with a problem added. */
bool onnx_ints(const struct onnx_call *call, const char *key, size_t operand, size_t most, long *out, size_t *n);
/* Convert an axis to 0..rank - 1. Returns false with a problem added. */
bool onnx_axis(const struct onnx_call *call, long axis, size_t rank, size_t *out);

/* ---- operands ---- */

bool onnx_given(const struct onnx_call *call, size_t i);
bool onnx_wants(const struct onnx_call *call, size_t output); /* whether a node or the model takes this output */
/* Whether a name is a tensor of the file, in this graph or in an outer graph. */
bool onnx_is_outer_tensor(const struct onnx_call *call, const char *name);
const struct onnx_constant *onnx_constant(const struct onnx_call *call, size_t i); /* NULL if the operand is not a
                                                                                      constant */
/* Operand i, if it is a tensor that depends on the input. Returns NULL with a problem added if it is a constant or
   missing. */
struct onnx_tensor *onnx_operand(const struct onnx_call *call, size_t i);
/* Element i of a constant of any type. */
double onnx_element(const struct onnx_constant *constant, size_t i);
/* The number of elements. Returns false if it is open. */
bool onnx_elements(const struct onnx_constant *constant, size_t *n);
/* All elements as floats. Returns NULL with a problem added. */
const float *onnx_floats(const struct onnx_call *call, const struct onnx_constant *constant);
/* Whether every element is this number. */
bool onnx_all(const struct onnx_constant *constant, double number);

/* Count n elements that folding makes. False with a problem where they are too many: a small file must not take much
   memory. */
bool onnx_count_folded(const struct onnx_call *call, size_t n);

/* Allocate memory that the end of the conversion frees. Returns NULL with a problem added. */
void *onnx_memory(const struct onnx_call *call, size_t n, size_t size);

/* A new symbol, for a size that follows from others. */
struct onnx_number onnx_unknown(const struct onnx_call *call);

/* ---- arranging ---- */

/**
 * A value of the graph whose axes after the batch are these axes of the ONNX tensor, in this order. Adds layers that
 * reshape or permute if necessary. The axes do not include the batch. Returns GRAPH_NONE with a problem added.
 */
size_t onnx_arrange(const struct onnx_call *call, const struct onnx_tensor *tensor, size_t n,
                    const struct onnx_axis *axes);
/* Rearrange a tensor, so that its axes are those of its value in the same order. Returns false with a problem added. */
bool onnx_order(const struct onnx_call *call, struct onnx_tensor *tensor);
/* onnx_last: rearrange a tensor, so that its last axis is the last axis of its value. Returns false with a problem
   added. onnx_set_last: change the size of this axis. */
bool onnx_last(const struct onnx_call *call, struct onnx_tensor *tensor);
void onnx_set_last(struct onnx_tensor *tensor, size_t size);
/* Make an axis the batch. Returns true if it is the batch, or if its size is 1 and it can become the batch. */
bool onnx_batch_at(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis);

/* ---- results ---- */

/* Add a layer of a class, with the node's name. The caller fills its own struct before onnx_node. Returns NULL with a
   problem added. */
struct layer *onnx_layer(const struct onnx_call *call, const struct layer_class *class, const char *class_name);
/* Add a node of the last added layer. Returns its value, or GRAPH_NONE with a problem added. */
size_t onnx_node(const struct onnx_call *call, const size_t *inputs, size_t n);
/* Allocate the numbers of a tensor ("kernel") of this layer, which the caller writes. Returns NULL with a problem
   added. */
float *onnx_weights(const struct onnx_call *call, const char *name, size_t rank, const size_t *shape);
/* The same for a layer that was added earlier. */
float *onnx_weights_of(const struct onnx_call *call, size_t layer, const char *name, size_t rank, const size_t *shape);

bool onnx_give(struct onnx_call *call, const struct onnx_tensor *tensor);
bool onnx_give_constant(struct onnx_call *call, const struct onnx_constant *constant);

/* ---- functions of convert.c and fold.c ---- */

enum onnx_folded { ONNX_IS_FOLDED, ONNX_NOT_FOLDED, ONNX_NOT_FOLDABLE };
/* Compute a node whose operands are known. Returns ONNX_NOT_FOLDABLE with a problem added. */
enum onnx_folded onnx_fold(struct onnx_call *call);

/* Convert the graph of an attribute, with the visible names of the node. Its outputs become the outputs of the node. */
bool onnx_run_graph(struct onnx_call *call, const json_t *graph);

/* Read a tensor of the file. Returns false with a problem added. */
bool onnx_load(const struct onnx_call *call, const json_t *tensor, struct onnx_constant *out);

#endif
