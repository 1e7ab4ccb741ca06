/* StackedRNNCells: the cells of a (nested) stack in call order, their states, and the run through time. */
#ifndef RNN_STACK_H
#define RNN_STACK_H

#include "cell.h"
#include "core/arena.h"
#include "core/team.h"

/* The deepest nesting of stacks and the largest number of cells in a configuration. */
enum { STACK_MAX_DEPTH = 16, STACK_MAX_CELLS = 256 };

/**
 * A stack of cells with weights. Nested stacks are flattened: cell k gets the output of cell k - 1 of the same
 * timestep, whatever the nesting; the spec keeps the nesting, in which states are shown.
 * Read-only once made; threads share it.
 *
 * The states of one row (sequence) are state_elems floats: per cell in call order h [units], then c [units]
 * where the cell has it; Keras's flattening. state_offsets[k] is where those of cell k begin.
 */
struct rnn_stack {
    struct rnn_cell_spec *spec;
    struct rnn_cell *cells;
    size_t *state_offsets;
    size_t n_cells, input_size, output_size, state_elems;
    size_t max_columns, max_units; /* widest pre-activations and (padded) states of any cell */
    size_t max_behind;             /* most states of any cell, without h */
};

/* The i-th leaf cell of a spec in call order, or NULL past the last. path gets the prefix of its tensors' names
   ("cells.0", "cells.1.cells.0"; a single cell counts as a stack of one). path may be NULL. */
const struct rnn_cell_spec *rnn_cell_spec_leaf(const struct rnn_cell_spec *spec, size_t i, char *path,
                                               size_t path_size);

/**
 * Build a stack. spec is taken (freed with the stack, also on failure). tensors holds, per leaf in call order, its
 * kernel, recurrent_kernel and bias (NULL without bias) in Keras's layout; borrowed.
 * RNN_EINVAL for a stack without cells or a cell without units; RNN_ENOMEM.
 */
enum rnn_status rnn_stack_init(struct rnn_stack *stack, struct rnn_cell_spec *spec, size_t input_size,
                               const float *const (*tensors)[CELL_MAX_TENSORS], const struct vec_ops *vec,
                               enum packed_format format, struct rnn_error *err);
void rnn_stack_close(struct rnn_stack *stack);

/* StackedRNNCells.get_initial_state: zeros, [batch, state_elems]. */
void rnn_stack_initial_state(const struct rnn_stack *stack, size_t batch, float *states);

/* Bytes of packed weights. */
size_t rnn_stack_bytes(const struct rnn_stack *stack);

/* Weights in all, as Keras counts parameters. */
size_t rnn_stack_parameters(const struct rnn_stack *stack);

/* Row-steps of a chunk: the number of rows M of the input product. A larger number is hardly faster; with a smaller
   number weights are reused less. */
enum { CHUNK_ROW_STEPS = 256 };

/* The number of timesteps of a chunk with this many rows: enough row-steps for an efficient input product. */
size_t rnn_stack_chunk(size_t rows);

/* The size of the arena for runs of up to `rows` rows and row_steps row-steps. Returns false if the size does not
   fit. */
bool rnn_stack_scratch(const struct rnn_stack *stack, size_t rows, size_t row_steps, size_t *bytes);

/* An estimate of the nanoseconds of one timestep of this many rows on one thread. It decides whether a second thread is
   useful. */
double rnn_stack_step_ns(const struct rnn_stack *stack, size_t rows);

/* Whether a team should share the rows rather than the units. */
bool rnn_stack_divides_by_rows(const struct rnn_stack *stack, size_t rows, size_t seats);

/**
 * Run a chunk of timesteps through every cell, one cell after the other; with a team the members share the work.
 * The results have the same bits either way.
 *
 * steps    at most rnn_stack_chunk(active[0]).
 * active   [steps] how many rows take part in each step; never rising, so that rows are sorted by what is left.
 * x        input vectors, step by step, within a step row by row: [sum of active, input_size].
 * team     or NULL.
 * states   one pointer a row (active[0] of them) to its state_elems floats; updated.
 *
 * Returns the outputs in the order of x, [sum of active, *output_stride], in the arena.
 */
const float *rnn_stack_run(const struct rnn_stack *stack, size_t steps, const size_t *active, const float *x,
                           float *const *states, struct arena *arena, struct team *team, size_t *output_stride);

#endif
