/* A recurrent layer whose cell is a graph: the graph runs once for each timestep, reads the states and computes the
   next states. */
#ifndef RNN_STEPPED_H
#define RNN_STEPPED_H

#include "time_distributed.h"

/* The own struct of layer_stepped. The first input of the graph is a timestep, the other inputs are the states. The
   first output of the graph is the output of the timestep, the other outputs are the next states, in the same order and
   with the same sizes. */
struct stepped {
    struct time_distributed inner;
    struct rnn_cell_spec *spec; /* a stack with one cell for each state */
    size_t n_states, state_elems;
    size_t *offsets; /* [n_states]: offsets within the states of the layer */
};

extern const struct layer_class layer_stepped;

/* Set the number of states and their sizes. Returns false if out of memory. */
bool stepped_states(struct stepped *stepped, size_t n, const size_t *sizes);

#endif
