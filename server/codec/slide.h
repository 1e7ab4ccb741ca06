/* Runs the windows of sequences, each as a separate sequence. The rows of the batch run the windows in turn. Windows
   read their timesteps in place: a window needs memory only for its outputs. */
#ifndef SERVER_CODEC_SLIDE_H
#define SERVER_CODEC_SLIDE_H

#include "batch.h"

struct slide_sequence {
    const float *inputs; /* of its first window that is full */
    const unsigned char *mask;
    size_t input_stride, mask_stride;
    size_t empty;   /* timesteps whose windows are not full: they have no outputs */
    size_t windows; /* those that are */
    size_t first;   /* full windows of the sequences before */
};

struct slide {
    size_t size, n_sequences;
    struct slide_sequence *sequences;
    size_t windows, room;    /* full windows of all sequences; the most that there may be */
    size_t sequence, window; /* the next one to run */
};

/* Rows, which are whole sequences, become windows of `size` timesteps: at most `most` rows, which take them in turn. Once
   inputs and mask are bound. False with *failure set: a sequence is shorter than a window. */
bool slide_bind(struct batch *batch, size_t size, size_t most, struct failure *failure);
/* The same of rows whose first windows may not be full; slide_full says how many are. `at`: where the timesteps of a row
   are, kept ones first. */
bool slide_bind_kept(struct batch *batch, size_t size, size_t most, struct failure *failure);
void slide_full(struct batch *batch, size_t sequence, const float *inputs, size_t empty, size_t windows);

/* Nothing has been run: the rows have the first windows. A row without a window counts as run. */
void slide_restart(struct batch *batch);
/* A row is done: whether there is another window for it, which the row has then. */
bool slide_next(struct batch *batch, size_t row);

/* Timesteps and floats that a window has of an output; where those of the i-th full window are. */
size_t slide_steps(const struct batch *batch, size_t output);
size_t slide_floats(const struct batch *batch, size_t output);
const float *slide_output(const struct batch *batch, size_t output, size_t i);

void slide_close(struct batch *batch);

#endif
