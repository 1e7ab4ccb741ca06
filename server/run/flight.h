/* A running batch: rows of all the requests for one model that a worker holds, side by side. Every timestep is a place
   where a sequence can join or leave, so rows come and go between chunks of timesteps, and nothing is padded. Source:
   Gao et al., "Low Latency RNN Inference with Cellular Batching", EuroSys 2018. */
#ifndef SERVER_RUN_FLIGHT_H
#define SERVER_RUN_FLIGHT_H

#include "prediction.h"
#include "server/base/metrics.h"

/* A row that is aboard. */
struct flight_seat {
    struct prediction *owner;
    size_t b;              /* which of its rows */
    size_t steps, vectors; /* of this chunk: timesteps, and vectors that come out */
};

struct flight {
    struct flight *next;
    /* what all rows have in common */
    const struct model *model;
    bool sequences;
    bool in_parts; /* a chunk of timesteps at a time; else rows that come aboard together run to their end */
    bool streams;  /* the predictions are all streams; else none is */
    struct prediction *first, **last; /* in order of arrival */
    struct flight_seat *seats;
    size_t n, room;
    int64_t starts_ns; /* it waits that long for company */
    /* of a chunk */
    struct rnn_row *rows;
    struct rnn_row **order;
    struct memory_share share;
    float *floats;
    unsigned char *masks;
    size_t floats_room, masks_room;
};

/* Whether a prediction's rows can go with a flight. */
bool flight_takes(const struct flight *flight, const struct prediction *p);

/* An empty flight for p and its like, of at most room rows; NULL when out of memory. */
struct flight *flight_open(const struct prediction *p, size_t room);
void flight_close(struct flight *flight);

void flight_add(struct flight *flight, struct prediction *p);

/* Returns the predictions that nobody waits for any more, linked; their failure is set, their rows have left. */
struct prediction *flight_sweep(struct flight *flight);

/* Take out up to `most` predictions whose time slice is over, linked: those who have none of the worker's time yet are to
   have theirs. */
struct prediction *flight_yield(struct flight *flight, size_t most);

/* Let rows in and run a chunk. Returns the predictions that are through with it, linked: all of their rows are done, or
   their failure is set, or the reader of their stream is to catch up. */
struct prediction *flight_advance(struct flight *flight, struct worker *worker, struct metrics *metrics);

#endif
