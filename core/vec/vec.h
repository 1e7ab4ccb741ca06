/* The vector routines: one constant table for each instruction set, chosen when a model is built. */
#ifndef RNN_VEC_H
#define RNN_VEC_H

#include "core/activation.h"
#include "core/packed.h"

#include <stdbool.h>
#include <stddef.h>

/* Panels first .. end - 1 of a packed matrix: one thread's share of the units. A reversed pass begins with the weights
   with which the previous pass has ended, because these are still in the nearer caches. */
struct vec_span {
    size_t first, end;
    bool reverse;
};

/**
 * A step of `rows` rows of a cell with the recurrent weights u.
 *
 * z       [rows, z_stride]: x K + b in the packed column order of the kernel, 64-byte aligned.
 * states  [rows, stride]; stride is the units rounded up to 16, so whole vectors can be stored; c is updated in
 *         place, h and reset_h must not overlap h_prev.
 * start   of GRU: what h U begins with, one row for all in the packed order of u: recurrent biases, or zeros.
 */
struct vec_step {
    const struct packed *u;
    size_t rows;
    const float *h_prev;
    float *z;
    size_t z_stride;
    const float *start;
    float *c, *h, *reset_h;
    size_t stride;
    const struct activation *activation, *recurrent_activation;
};

/**
 * Routines over rows. Every row's result has the same bits whatever the other rows are, however many, and however the
 * panels are divided into spans.
 *
 * The fused steps take activations for which vec_activates() is true. If a table has no fused step (NULL), the cells
 * use the general path: product, activations, combination.
 */
struct vec_ops {
    const char *name; /* shown in logs, /metrics and benchmarks; the value of CELLSERVE_ISA */
    size_t lanes;     /* units of a packed vector; 0: all units (Keras's own layout) */

    /* z = x W + from, in this order. x [rows, depth], x_stride floats from row to row; from [rows, from_stride] in the order of z.
       from may be z. from_stride 0: one row for all rows. */
    void (*product)(const struct packed *w, struct vec_span span, size_t rows, const float *x, size_t x_stride,
                    const float *from, size_t from_stride, float *z);

    /* Gates i f c o: new c and h. */
    void (*lstm)(const struct vec_step *step, struct vec_span span);
    /* GRU with reset_after, gates z r h. The recurrent bias of z and r may be in z as well as in start. */
    void (*gru_after)(const struct vec_step *step, struct vec_span span);
    /* GRU without reset_after, in two calls: in the first, u has the gates z r; in the second, u has h. */
    void (*gru_gates)(const struct vec_step *step, struct vec_span span);
    void (*gru_candidate)(const struct vec_step *step, struct vec_span span);
    /* h = activation(z + h_prev U) */
    void (*simple_rnn)(const struct vec_step *step, struct vec_span span);

    /* The sum of n values (a multiple of 128) in any order, to measure the speed of reading. */
    float (*sum)(size_t n, const float *x);

    /* Applies an activation in place to n contiguous values, if vec_activates() is true for it. NULL: use
       activation_apply. */
    void (*activate)(const struct activation *activation, size_t n, float *x);
};

/* Products sum so many numbers of the depth at a time, and then these sums. */
enum { VEC_PART = 512 };

/* All panels. */
static inline struct vec_span vec_all(const struct packed *w)
{
    return (struct vec_span){.end = packed_panels(w)};
}

/* Whether an activation is elementwise and has a vector form. */
bool vec_activates(const struct activation *activation);

/* Apply an activation to n contiguous values (a whole gate), by a vector routine if there is one. */
void vec_activate(const struct vec_ops *vec, const struct activation *activation, size_t n, float *x);

/* Plain C defines the correct results. OpenBLAS is for CPUs without own kernels. Its second table runs row by row, for
   an OpenBLAS that fails the self-test with tiles of rows. */
extern const struct vec_ops vec_c, vec_openblas, vec_openblas_rows;
/* The self-test. It also tells OpenBLAS not to start threads. */
bool vec_openblas_tiles_are_invariant(void);
#if defined(__x86_64__)
extern const struct vec_ops vec_avx2, vec_avx512;
#elif defined(__aarch64__)
extern const struct vec_ops vec_neon;
#endif

/* The i-th of the tables that this CPU can run, best first; NULL past the last. */
const struct vec_ops *vec_available(size_t i);

/* The table with this name; NULL or "" means the best table. Returns NULL if the name is unknown or if this CPU cannot
   run the table. */
const struct vec_ops *vec_select(const char *name);

/* Set flush-to-zero and denormals-are-zero, as TensorFlow does around its computations. Returns the old mode, to
   restore it. */
unsigned long long vec_denormals_off(void);
void vec_denormals_restore(unsigned long long saved);

#endif
