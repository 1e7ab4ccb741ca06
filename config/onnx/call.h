/* One node of an ONNX graph while it is converted: its operands, its attributes, and the layers that it becomes. */
#ifndef CONFIG_ONNX_CALL_H
#define CONFIG_ONNX_CALL_H

#include "value.h"

#include "config/files/tensors.h"
#include "config/keras/model.h"

#include <jansson.h>

enum { ONNX_MAX_OPERANDS = 64 };

/* The conversion of one model. */
struct onnx_convert {
    struct keras_reader reader;
    struct tensor_set *from, *to;
    struct keras_model *out;
    size_t to_room;
    long opset;
    long batch;              /* the size of the batch that the model is fixed to; 0: open */
    unsigned char n_symbols; /* given away */
    json_t *uses, *needed;   /* how many nodes take a name; which names lead to an output */
    const json_t *states;    /* {INPUT: OUTPUT}, or NULL */
    json_t *tied;            /* recurrent nodes that carry the states themselves, by their first output */
    bool native;             /* those carry all of them */
    json_t *batches;         /* which axis of a name is the batch */
    void **memory;           /* [n_memory] of constants */
    size_t n_memory, room;
    bool no_memory; /* an allocation has failed */
};

/* A node at work. Operands that are left out are ONNX_NOTHING. */
struct onnx_call {
    struct onnx_convert *c;
    struct onnx_scope *scope; /* names that it sees, for the graphs in its attributes */
    const json_t *node;
    const char *op, *name; /* the name: of the node, or of its first output */
    const struct onnx_row *row;
    struct onnx_value *in, *out;
    size_t n_in, n_out;
};

/* A row of a table of operators; each table ends with a row without a name. */
struct onnx_row {
    const char *op;
    bool (*read)(struct onnx_call *call);
    int which; /* for read */
};
extern const struct onnx_row onnx_math_operators[], onnx_shape_operators[], onnx_dense_operators[],
    onnx_recurrent_operators[], onnx_window_operators[], onnx_normalize_operators[], onnx_pad_operators[],
    onnx_loop_operators[], onnx_reduce_operators[];

/* A problem: "node \"NAME\" (OP) …". Always false. */
bool onnx_refuse(const struct onnx_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool onnx_no_memory(const struct onnx_call *call);

/* ---- attributes ---- */

long onnx_int(const struct onnx_call *call, const char *key, long otherwise);
double onnx_float(const struct onnx_call *call, const char *key, double otherwise);
const char *onnx_text(const struct onnx_call *call, const char *key, const char *otherwise);
bool onnx_has(const struct onnx_call *call, const char *key);
/* A list of whole numbers: of the attribute, or of operand `operand` where newer opsets have it there (SIZE_MAX: nowhere).
   *n is 0 where it is left out. False with a problem. */
bool onnx_ints(const struct onnx_call *call, const char *key, size_t operand, size_t most, long *out, size_t *n);
/* An axis from 0 on, of so many; false with a problem. */
bool onnx_axis(const struct onnx_call *call, long axis, size_t rank, size_t *out);

/* ---- operands ---- */

bool onnx_given(const struct onnx_call *call, size_t i);
bool onnx_wants(const struct onnx_call *call, size_t output); /* whether anything takes it */
/* Whether a name is a tensor of the file, of this graph or the graphs around. */
bool onnx_is_outer_tensor(const struct onnx_call *call, const char *name);
const struct onnx_constant *onnx_constant(const struct onnx_call *call, size_t i); /* NULL: none */
/* A tensor; NULL with a problem where it is a constant or missing. */
struct onnx_tensor *onnx_operand(const struct onnx_call *call, size_t i);
/* The number i of a constant, whatever its type. */
double onnx_element(const struct onnx_constant *constant, size_t i);
/* How many elements it has; false where that is open. */
bool onnx_elements(const struct onnx_constant *constant, size_t *n);
/* All elements as floats; NULL with a problem. */
const float *onnx_floats(const struct onnx_call *call, const struct onnx_constant *constant);
/* Whether every element is this number. */
bool onnx_all(const struct onnx_constant *constant, double number);

/* Memory that is freed with the conversion; NULL with a problem. */
void *onnx_memory(const struct onnx_call *call, size_t n, size_t size);

/* A new symbol, for a size that follows from others. */
struct onnx_number onnx_unknown(const struct onnx_call *call);

/* ---- arranging ---- */

/**
 * The value of the graph whose axes after the batch are these axes of the ONNX tensor, in their order. Layers that reshape
 * or permute are added where they are needed. Axes hold no batch. GRAPH_NONE with a problem.
 */
size_t onnx_arrange(const struct onnx_call *call, const struct onnx_tensor *tensor, size_t n,
                    const struct onnx_axis *axes);
/* The tensor with its axes in their order as those of the value. False with a problem. */
bool onnx_order(const struct onnx_call *call, struct onnx_tensor *tensor);
/* The tensor with its last axis as the last one of the value; and with another size there. False with a problem. */
bool onnx_last(const struct onnx_call *call, struct onnx_tensor *tensor);
void onnx_set_last(struct onnx_tensor *tensor, size_t size);
/* Have the batch at an axis, alone: true where it is, or where its size is 1 and the axis can be it. */
bool onnx_batch_at(const struct onnx_call *call, struct onnx_tensor *tensor, size_t axis);

/* ---- results ---- */

/* A layer of a class with the node's name; its own struct is filled before onnx_node. NULL with a problem. */
struct layer *onnx_layer(const struct onnx_call *call, const struct layer_class *class, const char *class_name);
/* A node of the layer that was added last; its value, or GRAPH_NONE with a problem. */
size_t onnx_node(const struct onnx_call *call, const size_t *inputs, size_t n);
/* Numbers for a tensor ("kernel") of that layer, to be written; NULL with a problem. */
float *onnx_weights(const struct onnx_call *call, const char *name, size_t rank, const size_t *shape);
/* The same of a layer that was added before. */
float *onnx_weights_of(const struct onnx_call *call, size_t layer, const char *name, size_t rank, const size_t *shape);

bool onnx_give(struct onnx_call *call, const struct onnx_tensor *tensor);
bool onnx_give_constant(struct onnx_call *call, const struct onnx_constant *constant);

/* ---- the whole, see convert.c and fold.c ---- */

enum onnx_folded { ONNX_IS_FOLDED, ONNX_NOT_FOLDED, ONNX_NOT_FOLDABLE };
/* Compute a node whose operands are known. ONNX_NOT_FOLDABLE with a problem. */
enum onnx_folded onnx_fold(struct onnx_call *call);

/* The graph of an attribute with the names that the node sees; its outputs become those of the node. */
bool onnx_run_graph(struct onnx_call *call, const json_t *graph);

/* Read a tensor of the file. False with a problem. */
bool onnx_load(const struct onnx_call *call, const json_t *tensor, struct onnx_constant *out);

#endif
