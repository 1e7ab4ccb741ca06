/* Runs a batch of random rows through a model: to warm it up, to time it, or to compare two precisions. */
#ifndef SERVER_RUN_TRIAL_H
#define SERVER_RUN_TRIAL_H

#include "core/graph.h"

enum { TRIAL_MOST_TIMESTEPS = 1 << 20 };

struct trial {
    const struct graph *graph;
    size_t batch, timesteps;                          /* the timesteps of each row: the model's own, if it has a fixed
                                                         number */
    size_t n_outputs;                                 /* the total number of floats */
    float *inputs, *states, *outputs, *floats, *more; /* more: the numbers of inputs and outputs after the first */
    struct layer_view *more_inputs;
    float **more_outputs;
    unsigned char *masks;
    struct layer_view *views;
    struct rnn_row *fresh, *rows; /* the rows of a run, because a run changes its rows */
    struct arena arena;
    struct graph_run run;
};

/* Inputs in -1..1 (or ids), the same for every model of the same input; an arena for `rows` rows at least. timesteps is
   ignored where the model has its own. False when out of memory; trial_close either way. */
bool trial_open(struct trial *trial, const struct graph *graph, size_t batch, size_t timesteps, size_t rows);

/* The first number of timesteps from `least` on that all layers take: windows may cover more timesteps than `least`.
   Returns 0 with a sentence if no number up to TRIAL_MOST_TIMESTEPS is found. Tries each of the next 512 numbers, then
   doubles the number. */
size_t trial_timesteps(const struct graph *graph, size_t least, struct rnn_error *err);

/* Run from zero states; team may be NULL. */
void trial_run(struct trial *trial, struct team *team);

/* Whether all outputs of the last run are finite. */
bool trial_is_finite(const struct trial *trial);

void trial_close(struct trial *trial);

#endif
