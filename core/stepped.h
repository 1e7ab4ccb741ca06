/* A graph that is run once for each timestep, with states that it takes and gives: a cell that is a graph. */
#ifndef RNN_STEPPED_H
#define RNN_STEPPED_H

#include "time_distributed.h"

/* The own struct of layer_stepped. The first input of the graph is a timestep, the others are states; the first output is
   that of the timestep, the others are the next states, in the same order and of the same sizes. */
struct stepped {
    struct time_distributed inner;
    struct rnn_cell_spec *spec; /* a stack of which each cell is a state */
    size_t n_states, state_elems;
    size_t *offsets; /* [n_states] within the states of the layer */
};

extern const struct layer_class layer_stepped;

/* Set the states: the numbers of each. False when memory is short. */
bool stepped_states(struct stepped *stepped, size_t n, const size_t *sizes);

#endif
