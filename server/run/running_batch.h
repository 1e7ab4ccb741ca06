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
    size_t b;              /* the index among the owner's rows */
    size_t steps, vectors; /* of this chunk: timesteps, and output vectors */
};

struct running_batch {
    struct running_batch *next;
    /* the same for all rows */
    const struct model *model;
    bool sequences;
    bool in_chunks; /* rows run in chunks of timesteps; otherwise rows that are admitted together run to their end */
    bool streams;   /* all predictions are streams; otherwise none is */
    struct prediction *first, **last; /* in order of arrival */
    struct row_slot *slots;           /* [room]; the first n have a row */
    size_t n, room;
    int64_t starts_ns; /* a batch that is not full waits for more rows until this time */
    /* buffers of a chunk */
    struct rnn_row *rows;
    struct rnn_row **order;
    struct memory_share share;
    float *floats;
    unsigned char *masks;
    struct layer_view *views;
    struct layer_view *more_inputs; /* [n_inputs - 1][n], see running_more.h */
    float **more_outputs;           /* [n_outputs - 1][n] */
    size_t floats_room, masks_room, views_room;
    size_t kept_bytes; /* for running_kept.h: the size of the buffers while no batch uses them */
};

/* Whether a prediction's rows can run in this batch. */
bool running_batch_accepts(const struct running_batch *running, const struct prediction *p);

/* Reuse the buffers of a running batch for an empty one, for p and similar predictions. */
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

/* Admit rows and run a chunk. Returns the removed predictions, linked: all their rows are done, or their failure is
   set, or their stream must wait for its reader. */
struct prediction *running_batch_advance(struct running_batch *running, struct worker *worker, struct metrics *metrics);

#endif
