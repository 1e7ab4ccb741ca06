/* The data of a prediction: rows, their states and outputs. batch_bind.h makes a batch from the tensors of a body,
   batch_write.h makes the answer. */
#ifndef SERVER_CODEC_BATCH_H
#define SERVER_CODEC_BATCH_H

#include "config/model.h"
#include "server/base/failure.h"
#include "server/base/memory.h"

/* The progress of a row. */
struct row_progress {
    size_t done;  /* the number of timesteps that have been run */
    size_t given; /* the number of outputs that have been taken, if outputs are taken after each chunk */
    bool stepped; /* an unmasked timestep has been run, also in an earlier request of its session */
    bool placed;  /* it has a slot of a running batch */
};

enum { BATCH_KEY_BYTES = 32, BATCH_MAX_RANK = 3 + LAYER_MAX_DIMS };

/* An output of a model after the first. Its rows are contiguous. */
struct batch_output {
    struct layer_shape shape; /* its timesteps differ between the rows: */
    size_t *steps;            /* [n_rows] */
    float **rows;             /* [n_rows]: the beginning of each row */
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
    struct layer_view *more_inputs;    /* [n_inputs - 1][n_rows]: the inputs after the first; NULL if there is one
                                          input */
    struct batch_output *more_outputs; /* [n_outputs - 1]; NULL if there is one output */
    size_t n_rows, timesteps;          /* timesteps: the sum over all rows */
    bool sequences;                    /* the last recurrent layer returns sequences */
    bool any_length;           /* in a session, or with states: sequences need not have the fixed length of the model */
    bool single;               /* :step: the inputs are [B][F], and so are the outputs */
    struct layer_shape output; /* the shape of the first output; its timesteps differ between the rows: */
    size_t *steps;             /* [n_rows]: the timesteps of the outputs */
    unsigned char *mask;
    float *states, *outputs;
    size_t outputs_floats, mask_bytes;
    size_t rolled;                 /* the number of steps of a roll-out, whose outputs are these steps; 0: no
                                      roll-out */
    bool tokens;                   /* the steps of the roll-out are tokens, one number each */
    bool fleeting;                 /* outputs are not stored here, because they go into a stream */
    struct row_progress *progress; /* [n_rows] */
    struct slide *slide;           /* rows run the windows of sequences in turn (slide.h), or NULL */
    struct lasts *lasts;           /* missing values take the previous value of the session (lasts.h), or NULL */
    struct batch_window *window;   /* rows are windows of a session (window.h), or NULL */
    struct team *team;             /* writes the answer, or NULL */
    char key[BATCH_KEY_BYTES];     /* the name of the inputs in the body: "instances", "inputs/0" */
};

/* An output of a model, or a state of one of its cells, by its name in protocols with named tensors: "outputs" (and
   "outputs_1" for the second output of a Bidirectional that does not merge), "state.0.h", "state.0.c"; in nested stacks
   "state.1.0.h". */
enum { BATCH_NAME_BYTES = 104 };
struct batch_tensor {
    char name[BATCH_NAME_BYTES];
    bool state;
    size_t output;                     /* the index of the output, of which the tensor may be a part */
    size_t offset, width;              /* the position within the vector of a timestep, or within the states of a row */
    size_t rank, dims[LAYER_MAX_DIMS]; /* the axes of a timestep: rank is 2 or more; 1 for a vector, 0 for a number */
    bool scalar;
};

/* Set zero states for n rows, without inputs. */
bool batch_zero_states(struct batch *batch, size_t n, struct failure *failure);

/* Copy the outputs to an array of batch->outputs_floats numbers, row after row, each with its own number of timesteps;
   and take the outputs from such an array instead of computing them. */
void batch_copy_answer(const struct batch *batch, float *out);
bool batch_bind_answer(struct batch *batch, const uint64_t *steps, const float *outputs, size_t floats, size_t width,
                       bool sequence, struct failure *failure);

/* The same for an answer with several outputs or several windows for each row. Each row has batch_whole_floats numbers.
   batch_bind_whole returns false if the number of floats differs from that of the batch. */
size_t batch_whole_floats(const struct batch *batch, size_t b);
void batch_copy_whole(const struct batch *batch, float *out);
bool batch_bind_whole(struct batch *batch, const uint64_t *floats, const float *values);

/* batch_answer_floats: the size of a stored answer. batch_most_floats: its upper bound, before it is known which
   windows are full. */
size_t batch_answer_floats(const struct batch *batch);
size_t batch_most_floats(const struct batch *batch);

/* Reset the progress of all rows to the beginning. */
void batch_rewind(struct batch *batch);
/* Whether a row has run to its end. */
bool batch_row_is_done(const struct batch *batch, size_t b);

/* Whether states and outputs have neither NaN nor Infinity. */
bool batch_is_finite(const struct batch *batch);
/* The number of sequences in the body: the rows, or the sequences whose windows the rows run. */
size_t batch_sequences(const struct batch *batch);
/* The first row with NaN or Infinity, or the number of rows if there is none. With windows, sequences count instead of
   rows. */
size_t batch_nonfinite_row(const struct batch *batch);
/* Write the path of row b (with windows: of the b-th sequence) in the body to out: "/instances/3", or "" if the body
   has no rows. Returns out. */
const char *batch_row_path(const struct batch *batch, size_t b, char *out, size_t size);

void batch_close(struct batch *batch);

#endif
