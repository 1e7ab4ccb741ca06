/* RNN cells: the spec of a cell, the functions of a cell class, and a built cell. */
#ifndef RNN_CELL_H
#define RNN_CELL_H

#include "core/activation.h"
#include "core/initializer.h"
#include "core/packed.h"
#include "core/status.h"
#include "core/vec/vec.h"

#include <stdbool.h>
#include <stddef.h>

/* Slots of a cell's weight tensors. A class may have further tensors after the bias. */
enum { CELL_KERNEL, CELL_RECURRENT_KERNEL, CELL_BIAS, CELL_MORE, CELL_MAX_TENSORS = CELL_MORE + 6 };

struct cell_class;

/**
 * The spec of a cell: a leaf (LSTMCell, …), or a stack of cells, which is itself a cell and may be part of another
 * stack. The caller that has made a spec frees it with rnn_cell_spec_free.
 */
struct rnn_cell_spec {
    const struct cell_class *class; /* NULL for StackedRNNCells */
    char *name;                     /* Keras's name of the cell, or NULL */

    size_t units;
    struct activation activation, recurrent_activation;
    bool use_bias, unit_forget_bias, reset_after;
    struct activation output_activation; /* of a PeepholeLSTMCell, where it has one of its own for what it gives */
    bool has_output_activation;
    bool cudnn; /* weights are stored in cuDNN's order */
    struct initializer kernel_initializer, recurrent_initializer, bias_initializer;
    struct initializer gamma_initializer, beta_initializer; /* of layer normalization */
    double epsilon;                                         /* likewise */
    unsigned residuals; /* ResidualWrappers around the cell: each adds the input to the output */
    char
        wrappers[96]; /* Keras's classes of all wrappers around it, outermost first: "DropoutWrapper/ResidualWrapper" */

    struct rnn_cell_spec **cells; /* of a stack, bottom first */
    size_t n_cells;
    bool reverse_state_order; /* of a stack: only changes state_size in metadata (Keras 2) */
};

/* Free the spec and everything in it. spec may be NULL. */
void rnn_cell_spec_free(struct rnn_cell_spec *spec);

/* A weight tensor that a cell needs: its name below the cell's path, its slot, and its shape. */
struct cell_tensor {
    const char *name;
    size_t slot;
    size_t rank, shape[2];
    const struct initializer *initializer;
};

/* A built cell with packed weights. It is read-only, and threads share it. */
struct rnn_cell {
    const struct cell_class *class;
    const struct vec_ops *vec;
    size_t input_size, units, gates, padded_units; /* padded to 16: the stride of states */
    enum packed_format format;
    bool fused;  /* steps are single calls of vec, over spans of panels */
    bool splits; /* and the spans of one step may be run beside each other */
    struct activation activation, recurrent_activation;
    struct packed kernel;
    float *start;            /* bias, one row of pre-activations */
    struct packed recurrent; /* the recurrent kernel, or the gates of it that are multiplied together */
    unsigned residuals;
    void *own; /* further data of the class, in its own struct */
};

/* A step of all rows, for a cell class. Strides are cell->padded_units. */
struct cell_step {
    size_t rows;
    const float *h_prev;  /* [rows, padded_units] */
    float *z;             /* [rows, columns of the kernel]: x K + b; may be overwritten */
    float *h;             /* [rows, padded_units], does not overlap h_prev */
    float *c;             /* the states after h, updated in place: the first, [rows, padded_units], */
    size_t c_stride;      /* and the number of floats from one to the next */
    float *scratch;       /* [rows + 2, columns of the kernel]; of all threads together */
    struct vec_span span; /* the panels of the recurrent weights; all panels if the cell does not split */
};

/* The functions of a cell class. A new cell is one file and one row in the table of cell.c. */
struct cell_class {
    const char *keras_name; /* "LSTMCell" */
    const char *layer_name; /* "LSTM", the layer that is an RNN over this cell */
    size_t gates, states;
    const char *const *state_names; /* [states]: "h", then the states that are updated in place */
    size_t own_bytes;               /* size of the struct of cell->own; 0: none */
    bool has_recurrent_activation;
    bool has_reset_after;
    bool has_unit_forget_bias;
    /* Rows of a bias that is a matrix [rows, gates * units]; 0, or NULL here: a vector. */
    size_t (*bias_rows)(const struct rnn_cell_spec *spec);
    /* Lists the tensors after the bias. Returns their number. NULL: there are none. */
    size_t (*more_tensors)(const struct rnn_cell_spec *spec, struct cell_tensor *out);
    /* Packs the recurrent weights and biases, by slot. kernel and start are already packed. The bias may be NULL. Sets
       fused and splits if the cell can do so. */
    enum rnn_status (*init)(struct rnn_cell *cell, const struct rnn_cell_spec *spec, const float *const *tensors,
                            struct rnn_error *err);
    void (*step)(const struct rnn_cell *cell, const struct cell_step *step);
    /* Free the data of cell->own, and return the size of its weights. NULL: there are none. */
    void (*close)(void *own);
    size_t (*bytes)(const struct rnn_cell *cell);
};

extern const struct cell_class cell_simple_rnn, cell_lstm, cell_gru, cell_peephole_lstm, cell_layer_norm_lstm;

/* The class with this Keras name of a cell or layer, or NULL. *is_layer says whether it is the name of a layer;
   is_layer may be NULL. */
const struct cell_class *cell_class_find(const char *name, bool *is_layer);

/* The i-th class, NULL past the last. */
const struct cell_class *cell_class_at(size_t i);

/* Make a leaf with the defaults of Keras 2.9 for its class, or (if class is NULL) an empty stack. Returns NULL if out
   of memory. */
struct rnn_cell_spec *rnn_cell_spec_new(const struct cell_class *class);

/* The tensors a leaf needs for input_size features, in Keras's weight order: kernel [F, G*U], recurrent_kernel [U,
   G*U], bias, those of the class. Returns their number. A size that does not fit is SIZE_MAX. */
size_t cell_tensors(const struct rnn_cell_spec *spec, size_t input_size, struct cell_tensor out[CELL_MAX_TENSORS]);

/* The number of elements of a tensor. Returns false if it does not fit a size_t. */
bool cell_tensor_elements(const struct cell_tensor *tensor, size_t *elements);

/* Weights of a leaf, as Keras counts parameters. */
size_t cell_parameters(const struct rnn_cell_spec *spec, size_t input_size);

/* Fill a tensor by its initializer. The bias of an LSTM with unit_forget_bias gets ones for f. */
enum rnn_status cell_tensor_initialize(const struct rnn_cell_spec *spec, const struct cell_tensor *tensor,
                                       uint64_t seed, const char *path, float *out, struct rnn_error *err);

/**
 * Build a cell. The weights are copied when they are packed, so the caller may free them afterwards.
 *
 * tensors  by slot, of the shapes that cell_tensors says; those it does not name are NULL.
 * RNN_EINVAL for 0 units or features, RNN_ENOMEM.
 */
enum rnn_status rnn_cell_init(struct rnn_cell *cell, const struct rnn_cell_spec *spec, size_t input_size,
                              const float *const tensors[CELL_MAX_TENSORS], const struct vec_ops *vec,
                              enum packed_format format, struct rnn_error *err);
void rnn_cell_close(struct rnn_cell *cell);

/* Bytes of packed weights. */
size_t rnn_cell_bytes(const struct rnn_cell *cell);

/* For cell classes: pack some gates of the recurrent kernel. */
enum rnn_status cell_pack_recurrent(const struct rnn_cell *cell, struct packed *packed, const float *const *tensors,
                                    size_t first_gate, size_t gates, struct rnn_error *err);

/* For cell classes: whether both activations have vector forms, for the fused steps. */
bool cell_activates(const struct rnn_cell *cell);

/* For cell classes: the arguments of a fused step. */
struct vec_step cell_vec_step(const struct rnn_cell *cell, const struct cell_step *step);

/* For cell classes: z += h_prev U, all panels. */
void cell_accumulate(const struct rnn_cell *cell, const struct packed *u, size_t rows, const float *x, float *z);

/* For cell classes: copy n tensors one after the other into one block; NULL tensors are skipped. Returns NULL if out of
   memory. */
float *cell_copy(const float *const *tensors, const size_t *elements, size_t n, struct rnn_error *err);

/* For cell classes: copy a gate out of a row of pre-activations in the order of `shape` into units floats. */
void cell_gate(const struct packed *shape, const float *z, size_t gate, float *out);

#endif
