/* Runs the windows of sequences, each as a separate sequence. The rows of the batch run the windows in turn. Windows
   read their timesteps in place: a window needs memory only for its outputs. */
#ifndef SERVER_CODEC_SLIDE_H
#define SERVER_CODEC_SLIDE_H

#include "batch.h"

struct slide_sequence {
    const float *inputs; /* the inputs of the first full window */
    const unsigned char *mask;
    size_t input_stride, mask_stride;
    size_t empty;   /* the number of timesteps whose windows are not full; they have no outputs */
    size_t windows; /* the number of full windows */
    size_t first;   /* the number of full windows of the previous sequences */
};

struct slide {
    size_t size, n_sequences;
    struct slide_sequence *sequences;
    size_t windows, room;    /* the number of full windows of all sequences; its upper bound */
    size_t sequence, window; /* the next window to run */
};

/* Split the rows, which are whole sequences, into windows of `size` timesteps, which at most `most` rows run in turn.
   Call after inputs and mask are bound. Returns false with *failure set if a sequence is shorter than a window. */
bool slide_bind(struct batch *batch, size_t size, size_t most, struct failure *failure);
/* The same for rows whose first windows may not be full. slide_full then sets the number of full windows of a sequence;
   inputs are its timesteps, stored ones first. */
bool slide_bind_kept(struct batch *batch, size_t size, size_t most, struct failure *failure);
void slide_full(struct batch *batch, size_t sequence, const float *inputs, size_t empty, size_t windows);

/* Start again: the rows get the first windows. A row without a window counts as finished. */
void slide_restart(struct batch *batch);
/* Give a finished row its next window. Returns false if there is none. */
bool slide_next(struct batch *batch, size_t row);

/* The timesteps and floats of an output of one window; and the position of the i-th full window. */
size_t slide_steps(const struct batch *batch, size_t output);
size_t slide_floats(const struct batch *batch, size_t output);
const float *slide_output(const struct batch *batch, size_t output, size_t i);

void slide_close(struct batch *batch);

#endif
