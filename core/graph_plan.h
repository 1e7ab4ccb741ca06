/* Functions that graph.c, graph_plan.c, graph_run.c and graph_time.c share. */
#ifndef RNN_GRAPH_PLAN_H
#define RNN_GRAPH_PLAN_H

#include "graph.h"

/* The shapes of all values for inputs of these timesteps (as graph_output_shapes), as far as nodes before `end` give
   them; shapes [n_values]. */
enum rnn_status graph_shapes(const struct graph *graph, const size_t *timesteps, bool sequences, size_t end,
                             struct layer_shape *shapes, struct rnn_error *err);

/* Whether recurrent node i gives sequences, when the last recurrent one does or not. */
bool graph_gives_sequences(const struct graph *graph, size_t i, bool sequences);

bool graph_is_recurrent(const struct graph *graph, size_t i);

/* The steps of graph_finish, in this order: the node that return_sequences acts on; the flow of all values; after the
   outputs, the states that go with a row. */
enum rnn_status graph_find_last_recurrent(struct graph *graph, struct rnn_error *err);
void graph_find_flow(struct graph *graph);
enum rnn_status graph_find_parts(struct graph *graph, struct rnn_error *err);

/* Which buffer each value has, by liveness: bases, outputs and places of the values; and how freely rows' inputs and
   outputs may lie. */
enum rnn_status graph_plan(struct graph *graph, struct rnn_error *err);

#endif
