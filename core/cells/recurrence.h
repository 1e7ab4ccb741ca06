/* keras.layers.RNN: a stack of cells over the timesteps of sequences, with masks, directions and outputs. */
#ifndef RNN_RECURRENCE_H
#define RNN_RECURRENCE_H

#include "stack.h"

/* A stack and the options of keras.layers.RNN, with Keras's names. `stateful` and `unroll` are only stored to be
   shown. */
struct rnn_recurrence {
    struct rnn_stack stack;
    bool return_sequences, return_state, go_backwards, stateful, unroll, time_major, zero_output_for_mask;
};

/**
 * A row of a batch: one sequence, and the memory for its results.
 *
 * The caller fills the first part. The memory must stay valid until the row is done. Timesteps are counted in the order
 * of the request; a layer with go_backwards takes them last first and writes outputs in the order of processing.
 *
 * inputs   timestep t begins at inputs + t * input_stride; input_size floats.
 * mask     NULL, or timestep t counts when mask[t * mask_stride] is not 0. A masked step keeps every state and repeats
 *          the output before it (zeros before the first, whatever the initial state), or gives zeros with
 *          zero_output_for_mask. Source: keras/backend.py, rnn().
 * states   [state_elems] initial states in, final states out.
 * outputs  sequences: output t at outputs + t * output_stride, for every timestep; else the last output alone.
 * stepped  the row goes on with a sequence of which timesteps have been taken (states are those after it): masked steps
 *          at its beginning repeat the output before, which is the last cell's h.
 */
struct rnn_row {
    const float *inputs;
    size_t timesteps, input_stride;
    const unsigned char *mask;
    size_t mask_stride;
    float *states;
    float *outputs;
    ptrdiff_t output_stride; /* below 0: backwards in time */
    bool sequences, stepped;

    /* progress, kept by the layer */
    size_t taken;   /* unmasked timesteps in all */
    size_t done;    /* timesteps that were run, including masked ones */
    size_t written; /* of sequences: outputs written */
    size_t left;    /* unmasked timesteps that are left */
    const float *last_output;
};

/* Sort rows for rnn_recurrence_advance and set their progress. order [n] gets pointers to the rows, longest first. */
void rnn_recurrence_begin(const struct rnn_recurrence *recurrence, struct rnn_row *rows, size_t n,
                          struct rnn_row **order);

/* The memory and helpers of a run. */
struct rnn_recurrence_means {
    struct rnn_row **order;      /* [n], work space */
    struct arena *arena;         /* reserved with rnn_recurrence_scratch */
    struct team *team;           /* or NULL */
    bool (*stop)(void *context); /* called between chunks of timesteps; may be NULL */
    void *stop_context;
};

/* Run rows from their beginning to their end, by rnn_recurrence_begin and rnn_recurrence_advance. A team may share the
   rows. Returns false if the run was stopped. */
bool rnn_recurrence_run(const struct rnn_recurrence *recurrence, struct rnn_row *rows, size_t n,
                        const struct rnn_recurrence_means *means);

/* The size of the arena for rnn_recurrence_advance with up to `rows` rows. Returns false if the size does not fit. */
bool rnn_recurrence_scratch(const struct rnn_recurrence *recurrence, size_t rows, size_t *bytes);

/**
 * Run some timesteps of the rows.
 *
 * order  [n] rows as rnn_recurrence_begin sorted them; those that end are finished (masked tail included) and lie
 *        behind the returned count afterwards.
 * arena  reserved with rnn_recurrence_scratch; reset here.
 * team   or NULL.
 *
 * A row's result has the same bits whatever the other rows are. Returns the number of rows that are not done.
 */
size_t rnn_recurrence_advance(const struct rnn_recurrence *recurrence, struct rnn_row **order, size_t n,
                              struct arena *arena, struct team *team);

#endif
