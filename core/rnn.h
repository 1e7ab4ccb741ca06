/* cellserve's core: runs graphs of layers on a CPU, with stacked RNN cells as Keras defines them. Read this first.
 *
 * An LSTM over one sequence; test_core_rnn compiles and runs these lines:
 *
 *     // Describe the cell; pack the weights, which are in Keras's own layout.
 *     struct rnn_error error = {{0}};
 *     struct rnn_cell_spec *spec = rnn_cell_spec_new(cell_class_find("LSTMCell", NULL));
 *     if (!spec)
 *         return;
 *     spec->units = UNITS;
 *     const float *const tensors[1][CELL_MAX_TENSORS] = {{kernel, recurrent_kernel, bias}};
 *     struct rnn_recurrence lstm = {.return_sequences = true};
 *     if (rnn_stack_init(&lstm.stack, spec, FEATURES, tensors, vec_select(NULL), PACKED_FLOAT32, &error)) {
 *         puts(error.text);
 *         return;
 *     }
 *
 *     // Run a batch of one row; rows may have any lengths. Each call runs some timesteps, in reserved memory.
 *     struct rnn_row row = {.inputs = inputs, .timesteps = TIMESTEPS, .input_stride = FEATURES, .states = states,
 *                           .outputs = outputs, .output_stride = UNITS, .sequences = lstm.return_sequences};
 *     struct rnn_row *order[1];
 *     struct arena arena = {.size = 0};
 *     size_t bytes, left = 1;
 *     if (rnn_recurrence_scratch(&lstm, 1, &bytes) && arena_reserve(&arena, bytes)) {
 *         rnn_recurrence_begin(&lstm, &row, 1, order);
 *         while ((left = rnn_recurrence_advance(&lstm, order, left, &arena, NULL)))
 *             ;
 *     }
 *     arena_close(&arena);
 *     rnn_stack_close(&lstm.stack); // and the spec
 *
 * core computes. It uses no files, JSON, sockets, threads or logging. Callers pass weights as pointers. An error is an
 * enum and a sentence. Models are read-only once built, and threads share them. A run changes only the rows and the
 * arena of the caller. */
#ifndef RNN_H
#define RNN_H

#include "activation.h"
#include "arena.h"
#include "core/cells/cell.h"
#include "core/cells/recurrence.h"
#include "core/cells/stack.h"
#include "core/layers/activation.h"
#include "core/layers/dense.h"
#include "core/layers/embedding.h"
#include "core/layers/layer.h"
#include "core/layers/masking.h"
#include "core/layers/normalization.h"
#include "core/layers/pooling.h"
#include "core/layers/recurrent.h"
#include "core/layers/reshape.h"
#include "core/vec/vec.h"
#include "graph.h"
#include "initializer.h"
#include "status.h"

#endif
