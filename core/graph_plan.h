/* What graph.c, graph_plan.c and graph_run.c share. */
#ifndef RNN_GRAPH_PLAN_H
#define RNN_GRAPH_PLAN_H

#include "graph.h"

/* The shapes of all values for inputs of these timesteps (as graph_output_shapes), as far as nodes before `end` give
   them; shapes [n_values]. */
enum rnn_status graph_shapes(const struct graph *graph, const size_t *timesteps, bool sequences, size_t end,
                             struct layer_shape *shapes, struct rnn_error *err);

/* Whether recurrent node i gives sequences, when the last recurrent one does or not. */
bool graph_gives_sequences(const struct graph *graph, size_t i, bool sequences);

/* Which buffer each value has, by liveness: bases, outputs and places of the values; and how freely rows' inputs and
   outputs may lie. */
enum rnn_status graph_plan(struct graph *graph, struct rnn_error *err);

#endif
