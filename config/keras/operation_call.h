/* The state of reading one use of an operation: its operands and arguments, and the new layers. */
#ifndef CONFIG_KERAS_OPERATION_CALL_H
#define CONFIG_KERAS_OPERATION_CALL_H

#include "operation.h"

enum { OPERATION_MAX_OPERANDS = 64 };

struct operation_row;

/* Operands are references to tensors, or constants. */
struct operation_call {
    struct keras_reader *reader;
    const char *path, *name, *function; /* function: the name in the table of operations */
    struct keras_model *out;
    size_t (*value)(void *context, const struct keras_tensor *tensor);
    void *context;
    const struct operation_row *row;
    const json_t *config, *keywords; /* in Keras 3 both may have arguments, in Keras 2 only keywords */
    const json_t *operands[OPERATION_MAX_OPERANDS];
    size_t n_operands;
    size_t *outputs, n_outputs; /* [GRAPH_MAX_INPUTS]: the output values */
};

/* A row of the table of operations. */
struct operation_row {
    const char *name; /* the last part of Keras 2's function name, or Keras 3's class in snake case */
    bool (*read)(struct operation_call *call);
    int which;               /* an argument for `read`, which may serve several rows */
    const char *const *keys; /* the arguments that `read` uses; ends with NULL */
};

/* Each table ends with a row without a name. */
extern const struct operation_row keras_math_operations[], keras_shape_operations[];

/* Read the operands and arguments of a use. Returns false with a problem added. */
bool operation_call_read(struct operation_call *call, const json_t *json, const json_t *use);

/* Add the problem "the operation \"NAME\" …". Always returns false. */
bool operation_refuse(const struct operation_call *call, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* An argument under any of its names (a list that ends with NULL). Returns NULL if it is missing or null. */
const json_t *operation_argument(const struct operation_call *call, const char *const *names);
/* The same for one name. */
const json_t *operation_option(const struct operation_call *call, const char *name);

/* Read a whole number (*out stays unchanged if it is missing), or a list of whole numbers. Returns false with a problem
   added. */
bool operation_whole(const struct operation_call *call, const char *name, long *out);
bool operation_list(const struct operation_call *call, const char *name, const json_t *value, size_t most, long *out,
                    size_t *n);
/* Whether an option is missing or has this truth value. */
bool operation_flag(const struct operation_call *call, const char *name);

/* Whether operand i is a tensor; and its value, or GRAPH_NONE with a problem added. */
bool operation_is_tensor(const struct operation_call *call, size_t i);
size_t operation_value(const struct operation_call *call, size_t i);

/* A constant as numbers with [rank] axes, row-major. The caller calls free. Returns NULL with a problem added. */
float *operation_constant(const struct operation_call *call, const json_t *json, size_t *rank,
                          size_t axes[LAYER_MAX_AXES + 1]);

/* Add a layer of a class, with the operation's name. The caller fills its own struct before operation_node. Returns
   NULL with a problem added. */
struct layer *operation_layer(const struct operation_call *call, const struct layer_class *class);
/* Add a node of the layer that was added last. Returns false with a problem added. */
bool operation_node(const struct operation_call *call, const size_t *inputs, size_t n, size_t *output);
/* The same; the node's output becomes an output of the operation. */
bool operation_give(struct operation_call *call, const size_t *inputs, size_t n);

#endif
