/* Inputs and outputs of a running batch after the first of each: rows of such models run whole, but for
   streams. */
#ifndef SERVER_RUN_RUNNING_MORE_H
#define SERVER_RUN_RUNNING_MORE_H

#include "running_batch.h"

/* Room for running->room rows; false when out of memory. */
bool running_more_open(struct running_batch *running);
void running_more_close(struct running_batch *running);

/* Floats of copies that the rows in slots need beside those of the first input and output. */
size_t running_more_floats(const struct running_batch *running);

/* Take the views of the inputs of the rows in slots. */
void running_more_look(struct running_batch *running);

/* Copy the inputs to at, and place the outputs behind; returns where they end. */
float *running_more_copy_inputs(struct running_batch *running, float *at);

/* Outputs to where their requests keep them, but for those that are taken in pieces. */
void running_more_copy_outputs(const struct running_batch *running);

#endif
