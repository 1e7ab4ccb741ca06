/* A running batch: the rows of all requests of a worker for one model. A sequence can join or leave at every timestep,
   so rows are admitted and removed between chunks of timesteps, and sequences are never padded. Source: Gao et al.,
   "Low Latency RNN Inference with Cellular Batching", EuroSys 2018. */
#ifndef SERVER_RUN_RUNNING_BATCH_H
#define SERVER_RUN_RUNNING_BATCH_H

#include "prediction.h"
#include "server/base/metrics.h"

/* A slot of the running batch, with its row. */
struct row_slot {
    struct prediction *owner;
    size_t b;              /* which of the owner's rows */
    size_t steps, vectors; /* of this chunk: timesteps, and vectors that come out */
};

struct running_batch {
    struct running_batch *next;
    /* what all rows have in common */
    const struct model *model;
    bool sequences;
    bool in_chunks; /* rows run a chunk of timesteps at a time; else rows that are admitted together run to their end */
    bool streams;   /* the predictions are all streams; else none is */
    struct prediction *first, **last; /* in order of arrival */
    struct row_slot *slots;           /* [room], of which the first n hold a row */
    size_t n, room;
    int64_t starts_ns; /* until then a batch that is not full waits for more rows */
    /* of a chunk */
    struct rnn_row *rows;
    struct rnn_row **order;
    struct memory_share share;
    float *floats;
    unsigned char *masks;
    struct layer_view *views;
    struct layer_view *more_inputs; /* [n_inputs - 1][n], see running_more.h */
    float **more_outputs;           /* [n_outputs - 1][n] */
    size_t floats_room, masks_room, views_room;
    size_t kept_bytes; /* of running_kept.h: what they take while no batch runs in them */
};

/* Whether a prediction's rows can run in this batch. */
bool running_batch_accepts(const struct running_batch *running, const struct prediction *p);

/* The buffers of a running batch become an empty one for p and its like. */
void running_batch_begin(struct running_batch *running, const struct prediction *p);

/* An empty running batch for p and similar predictions, with at most `room` rows. Returns NULL if out of memory. */
struct running_batch *running_batch_open(const struct prediction *p, size_t room);
void running_batch_close(struct running_batch *running);

void running_batch_add(struct running_batch *running, struct prediction *p);

/* Remove the predictions whose client has gone or whose deadline has passed, with their rows. Returns these
   predictions, linked; their failure is set. */
struct prediction *running_batch_remove_stopped(struct running_batch *running);

/* Remove up to `most` predictions whose time slice is over, with their rows, so that others can run. Returns these
   predictions, linked. */
struct prediction *running_batch_preempt(struct running_batch *running, size_t most);

/* Admit rows and run a chunk. Returns the predictions that were removed, linked: all of their rows are done, or their
   failure is set, or the reader of their stream is to catch up. */
struct prediction *running_batch_advance(struct running_batch *running, struct worker *worker, struct metrics *metrics);

#endif
