/* cellserve's core: stacked RNN cells on a CPU, as Keras defines them. Read this first.
 *
 *   struct rnn_cell_spec *spec = rnn_cell_spec_new(cell_class_find("LSTMCell", NULL));   what is asked for
 *   spec->units = 128;
 *   const float *tensors[1][CELL_MAX_TENSORS] = {{kernel, recurrent_kernel, bias}};      Keras's own layout
 *   struct rnn_recurrence layer = {.return_sequences = true};
 *   rnn_stack_init(&layer.stack, spec, features, tensors, vec_select(NULL), &err);       weights packed
 *   rnn_recurrence_begin(&layer, rows, n, order);                                             sequences of any lengths
 *   while ((left = rnn_recurrence_advance(&layer, order, left, &arena, NULL)))                      some timesteps at a time
 *       ;
 *
 * core knows numbers and memory alone: no files, JSON, sockets, threads or logging. Weights are pointers, errors are
 * an enum and a sentence. Models are read-only once built, and threads share them; all that changes during a run
 * belongs to the rows and to the arena of the caller. */
#ifndef RNN_H
#define RNN_H

#include "core/activation.h"
#include "core/arena.h"
#include "core/cells/cell.h"
#include "core/cells/recurrence.h"
#include "core/cells/stack.h"
#include "core/initializer.h"
#include "core/layers/activation.h"
#include "core/layers/dense.h"
#include "core/layers/embedding.h"
#include "core/layers/layer.h"
#include "core/layers/masking.h"
#include "core/layers/normalization.h"
#include "core/layers/pooling.h"
#include "core/layers/recurrent.h"
#include "core/layers/reshape.h"
#include "core/model.h"
#include "core/status.h"
#include "core/vec/vec.h"

#endif
