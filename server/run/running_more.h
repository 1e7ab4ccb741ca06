/* The inputs and outputs of a running batch after the first of each. Rows of such models run whole, except in
   streams. */
#ifndef SERVER_RUN_RUNNING_MORE_H
#define SERVER_RUN_RUNNING_MORE_H

#include "running_batch.h"

/* Allocate memory for running->room rows. Returns false if out of memory. */
bool running_more_open(struct running_batch *running);
void running_more_close(struct running_batch *running);

/* The number of floats that the rows in slots need for copies, in addition to those of the first input and output. */
size_t running_more_floats(const struct running_batch *running);

/* Set the views of the inputs of the rows in slots. */
void running_more_look(struct running_batch *running);

/* Copy the inputs to `at`, and place the outputs behind them. Returns the end. */
float *running_more_copy_inputs(struct running_batch *running, float *at);

/* Copy the outputs to their requests, except those that are taken in pieces. */
void running_more_copy_outputs(const struct running_batch *running);

#endif
