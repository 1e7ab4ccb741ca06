/* Functions that graph.c, graph_plan.c, graph_run.c and graph_time.c share. */
#ifndef RNN_GRAPH_PLAN_H
#define RNN_GRAPH_PLAN_H

#include "graph.h"

/* Compute the shapes of the inputs and of the values of all nodes before `end`. timesteps as in graph_output_shapes;
   shapes [n_values]. */
enum rnn_status graph_shapes(const struct graph *graph, const size_t *timesteps, bool sequences, size_t end,
                             struct layer_shape *shapes, struct rnn_error *err);

/* Whether recurrent node i returns sequences. sequences: whether the last recurrent node does. */
bool graph_gives_sequences(const struct graph *graph, size_t i, bool sequences);

bool graph_is_recurrent(const struct graph *graph, size_t i);

/* The steps of graph_finish, in this order: find the node to which return_sequences applies; the flow of all values;
   after the outputs, the states that belong to a row. */
enum rnn_status graph_find_last_recurrent(struct graph *graph, struct rnn_error *err);
void graph_find_flow(struct graph *graph);
enum rnn_status graph_find_parts(struct graph *graph, struct rnn_error *err);

/* Assign memory to the values by liveness: sets base, output and place of each value. Also sets inputs_anywhere and
   outputs_anywhere. */
enum rnn_status graph_plan(struct graph *graph, struct rnn_error *err);

#endif
