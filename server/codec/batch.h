/* The data of a prediction: rows, their states and outputs. batch_bind.h makes a batch from the tensors of a body,
   batch_write.h makes the answer. */
#ifndef SERVER_CODEC_BATCH_H
#define SERVER_CODEC_BATCH_H

#include "config/model.h"
#include "server/base/failure.h"
#include "server/base/memory.h"

/* The progress of a row. */
struct row_progress {
    size_t done;  /* timesteps run */
    size_t given; /* outputs taken, if outputs are taken after each chunk */
    bool stepped; /* a timestep that counts has been run, also in an earlier request of its session */
    bool placed;  /* it has a slot of a running batch */
};

enum { BATCH_KEY_BYTES = 32, BATCH_MAX_RANK = 3 + LAYER_MAX_DIMS };

/* An output of a model after the first. Its rows are contiguous. */
struct batch_output {
    struct layer_shape shape; /* its timesteps differ from row to row: */
    size_t *steps;            /* [n_rows] */
    float **rows;             /* [n_rows] where each begins */
    float *floats;
    size_t n_floats;
};

struct batch_window;
struct slide;
struct lasts;

/* Everything a prediction computes with. All zeros is empty; batch_close frees it. Inputs are borrowed from the
   tensors of the body. */
struct batch {
    const struct model *model;
    struct memory_share *share;
    struct rnn_row *rows;              /* of the first input */
    struct layer_view *more_inputs;    /* [n_inputs - 1][n_rows] of the inputs after the first; NULL: there is one */
    struct batch_output *more_outputs; /* [n_outputs - 1]; NULL: there is one */
    size_t n_rows, timesteps;          /* of all rows together */
    bool sequences;                    /* of the last recurrent layer: outputs of every timestep */
    bool any_length;           /* in a session, or with states: whole sequences need not have the model's one length */
    bool single;               /* :step: the inputs are [B][F], and so are the outputs */
    struct layer_shape output; /* what comes out; its timesteps differ from row to row: */
    size_t *steps;             /* [n_rows] of the outputs */
    unsigned char *mask;
    float *states, *outputs;
    size_t outputs_floats, mask_bytes;
    size_t rolled;                 /* steps of a roll-out, which are the outputs then; 0: none */
    bool tokens;                   /* they are tokens, one number each */
    bool fleeting;                 /* outputs are not kept: they go into a stream */
    struct row_progress *progress; /* [n_rows] */
    struct slide *slide;           /* rows run the windows of sequences in turn (slide.h), or NULL */
    struct lasts *lasts;           /* of a session whose missing values take those before them (lasts.h), or NULL */
    struct batch_window *window;   /* rows are windows of a session (window.h), or NULL */
    struct team *team;             /* writes the answer, or NULL */
    char key[BATCH_KEY_BYTES];     /* of the inputs in the body: "instances", "inputs/0" */
};

/* An output of a model, or a state of one of its cells, by the name that protocols with named tensors give it: "outputs"
   (and "outputs_1" for the second of a Bidirectional that does not merge), "state.0.h", "state.0.c"; in nested stacks
   "state.1.0.h". */
enum { BATCH_NAME_BYTES = 104 };
struct batch_tensor {
    char name[BATCH_NAME_BYTES];
    bool state;
    size_t output;        /* which output it is (part of) */
    size_t offset, width; /* within the vector of a timestep, or within the states of a row */
    size_t rank,
        dims[LAYER_MAX_DIMS]; /* of a timestep that is no vector: rank is 2 or more; 0 dims where it is a number */
    bool scalar;
};

/* Set zero states for n rows, without inputs. */
bool batch_zero_states(struct batch *batch, size_t n, struct failure *failure);

/* Outputs row after row, each of its own number of timesteps, batch->outputs_floats in all: copied out, and put in the
   place of those that would be computed. */
void batch_copy_answer(const struct batch *batch, float *out);
bool batch_bind_answer(struct batch *batch, const uint64_t *steps, const float *outputs, size_t floats, size_t width,
                       bool sequence, struct failure *failure);

/* The same of an answer that has several outputs for a row, or several windows: all numbers of a row, of which there are
   batch_whole_floats, then those of the next. batch_bind_whole is false where the numbers are not as many as the batch
   has. */
size_t batch_whole_floats(const struct batch *batch, size_t b);
void batch_copy_whole(const struct batch *batch, float *out);
bool batch_bind_whole(struct batch *batch, const uint64_t *floats, const float *values);

/* The numbers of the answer as it is kept; the most that there may be, before it is known which windows are full. */
size_t batch_answer_floats(const struct batch *batch);
size_t batch_most_floats(const struct batch *batch);

/* Whether no row has run. */
void batch_rewind(struct batch *batch);
/* Whether a row has run to its end. */
bool batch_row_is_done(const struct batch *batch, size_t b);

/* Whether states and outputs have neither NaN nor Infinity. */
bool batch_is_finite(const struct batch *batch);
/* Sequences of the body: the rows, or those whose windows the rows run. */
size_t batch_sequences(const struct batch *batch);
/* The first row (of windows: their sequence) that has NaN or Infinity; their number when there is none. */
size_t batch_nonfinite_row(const struct batch *batch);
/* Where row b (of windows: their b-th sequence) stands in the body: "/instances/3"; "" where the body has no rows. In
   out, which is returned. */
const char *batch_row_path(const struct batch *batch, size_t b, char *out, size_t size);

void batch_close(struct batch *batch);

#endif
