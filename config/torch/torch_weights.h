/* Converts PyTorch's tensors to Keras's layout. */
#ifndef CONFIG_TORCH_TORCH_WEIGHTS_H
#define CONFIG_TORCH_TORCH_WEIGHTS_H

#include "config/files/tensors.h"

enum { TORCH_MAX_GATES = 4 };

/* One conversion. */
struct torch_weights {
    const struct tensor_set *from;
    struct tensor_set *to;
    float *next; /* memory for the next tensor */
    size_t left; /* floats from there on */
    const char *file;
    struct problems *problems;
    bool *failed;
};

/* Allocate memory for the result. Returns false with a problem added. */
bool torch_weights_open(struct torch_weights *w);

/* The tensor PREFIX.NAME (NAME if the prefix is ""), or NULL. The tensor counts as used. */
const struct named_tensor *torch_weights_find(const struct torch_weights *w, const char *prefix, const char *name);

/* The same as floats, if it has this shape; otherwise NULL with a problem added. The caller frees the floats. */
float *torch_weights_read(const struct torch_weights *w, const char *prefix, const char *name, size_t rank,
                          const size_t *shape);

/* Add a tensor to the result, and return the memory for its numbers. Returns NULL with a problem added. */
float *torch_weights_add(struct torch_weights *w, const char *name, size_t rank, const size_t *shape);

/* Add an unchanged tensor. A missing tensor is skipped if it is `optional`. Returns false with a problem added. */
bool torch_weights_copy(struct torch_weights *w, const char *prefix, const char *from, const char *to, size_t elements,
                        bool optional);

/* A matrix [rows, columns] as [columns, rows]. */
bool torch_weights_turn(struct torch_weights *w, const char *prefix, const char *from, const char *to, size_t rows,
                        size_t columns);

/* The gates of a cell: their number, and the index of PyTorch's block for Keras's i-th gate. */
struct torch_gates {
    size_t n, order[TORCH_MAX_GATES];
    bool two_biases; /* the two biases stay separate, because a GRU's candidate needs both */
};

/* One direction of one layer. */
struct torch_cell {
    const char *prefix, *suffix; /* "lstm", "_l0_reverse" */
    struct torch_gates gates;
    size_t width, hidden;
    size_t projected; /* proj_size; 0: none */
    bool bias;
};

/**
 * Add its tensors as kernel, recurrent_kernel and bias below `path`.
 *
 * A projected LSTM has h = weight_hr h', h' = o * tanh(c). What it adds to the gates is weight_hh h = (weight_hh weight_hr)
 * h': so an LSTM without projection with the product as its recurrent kernel has the same h', and weight_hr is a Dense
 * layer behind it (torch_weights_projection). The product is computed in double and rounded once.
 */
bool torch_weights_cell(struct torch_weights *w, const struct torch_cell *cell, const char *path);

/* The projections of one or two directions, side by side, as a Dense kernel [n hidden, n projected]. */
bool torch_weights_projection(struct torch_weights *w, const struct torch_cell *cells, size_t n, const char *name);

#endif
