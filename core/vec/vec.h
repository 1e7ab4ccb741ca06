/* The hot loops, one constant table per instruction set, chosen when a model is built. */
#ifndef RNN_VEC_H
#define RNN_VEC_H

#include "../activation.h"
#include "../packed.h"

#include <stdbool.h>
#include <stddef.h>

/**
 * Routines over `rows` rows. Every row's result has the same bits whatever the other rows are and however many.
 *
 * x       [rows, depth], `x_stride` floats from row to row.
 * z       [rows, packed_columns]: pre-activations in the packed column order, 64-byte aligned.
 * states  [rows, stride]; stride is the units rounded up to 16, so whole vectors can be stored; c is updated in
 *         place, h must not overlap the h that is read.
 *
 * Fused steps are for the common activations (sigmoid gates, tanh elsewhere); a table without them has NULL there,
 * and the cells take the general way: accumulate, activations, combination.
 */
struct vec_ops {
    const char *name; /* shown in logs, /metrics and benchmarks; the value of CELLSERVE_ISA */
    size_t lanes;     /* units of a packed vector; 0: all units (Keras's own layout) */

    /* z = start + x W: start is one row for all. */
    void (*product)(const struct packed *w, size_t rows, const float *x, size_t x_stride, const float *start, float *z);
    /* z += x W */
    void (*accumulate)(const struct packed *w, size_t rows, const float *x, size_t x_stride, float *z);

    /* z holds x K + b; LSTM with recurrent matrix u, gates i f c o: new c and h. */
    void (*lstm_step)(const struct packed *u, size_t rows, const float *h_prev, const float *z, float *c, float *h,
                      size_t stride);
    /* GRU with reset_after, gates z r h: z holds x K + b, with the recurrent bias of z and r added already;
       start holds the recurrent bias of h, a row of vectors of units. */
    void (*gru_step)(const struct packed *u, size_t rows, const float *h_prev, const float *z, const float *start,
                     float *h, size_t stride);
    /* h = tanh(z + h_prev U) */
    void (*simple_rnn_step)(const struct packed *u, size_t rows, const float *h_prev, const float *z, float *h,
                            size_t stride);

    /* In place over n contiguous values; NULL: activation_apply. */
    void (*tanh)(size_t n, float *x);
    void (*sigmoid)(size_t n, float *x);
};

/* Apply an activation to n contiguous values, by vector routine where there is one. */
void vec_activate(const struct vec_ops *vec, const struct activation *activation, size_t n, float *x);

/* Plain C: the definition of correct. OpenBLAS: for CPUs without kernels of ours; the second table, row by row, is
   for an OpenBLAS whose tiles of rows turn out not to be invariant. */
extern const struct vec_ops vec_c, vec_openblas, vec_openblas_rows;
/* The self-test; it also bids OpenBLAS start no threads for our calls. */
bool vec_openblas_tiles_are_invariant(void);
#if defined(__x86_64__)
extern const struct vec_ops vec_avx2, vec_avx512;
#endif

/* The i-th of the tables that this CPU can run, best first; NULL past the last. */
const struct vec_ops *vec_available(size_t i);

/* The table of a name among those; NULL or "" takes the best; NULL is returned for a name that is unknown or
   that this CPU cannot run. */
const struct vec_ops *vec_select(const char *name);

/* Set flush-to-zero and denormals-are-zero, as TensorFlow does around its computations; returns what to restore. */
unsigned long long vec_denormals_off(void);
void vec_denormals_restore(unsigned long long saved);

#endif
