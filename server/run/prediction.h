/* A prediction: a request as tensors, independent of its protocol. */
#ifndef SERVER_RUN_PREDICTION_H
#define SERVER_RUN_PREDICTION_H

#include "request.h"
#include "rollout.h"
#include "server/codec/batch_bind.h"
#include "server/codec/json_reader.h"
#include "server/codec/raw_values.h"
#include "server/session/session.h"

/**
 * A worker makes it when it takes the request. The protocol decodes the body into a batch. The rows of the batch run,
 * together with rows of other requests (see running_batch.h). The protocol encodes the answer. One worker owns it all
 * the time.
 */
struct prediction {
    struct request *request;
    struct worker *worker;
    struct prediction *next;
    struct batch batch;
    struct failure failure;
    bool finite;   /* the encoded numbers so far are finite */
    bool answered; /* the answer is in the request */

    /* values of the body */
    char model[BODY_TEXT_BYTES];
    struct json_tensor inputs, states, mask;
    struct named_inputs *named; /* inputs by name (prediction_inputs.h); NULL if the body has `inputs` */
    int return_sequences;       /* -1: not given */
    int slide;                  /* 1: run the windows of longer sequences; -1: not given */
    int return_windows;         /* 1: return an output for each new timestep of a session; -1: not given */
    int raw;                    /* 1: skip the model's transform; -1: not given */
    struct raw_reading reading; /* the conversion of the inputs */
    float *unscaled;            /* [unscaled_floats]: scaled outputs of a stream, in the request's share of memory */
    size_t unscaled_floats;
    void *own; /* data of the protocol: decode sets it for encode and close */
    struct session_use session;
    struct rollout rollout;

    /* the numbers of rows that were admitted to a running batch, and that are done; the batch has the progress of each
       row */
    size_t admitted, finished;
    bool behind; /* it was removed from its running batch, for the reader of its stream to catch up or for others */
    int64_t slots_since_ns;        /* the time since which its rows have slots; 0 if they have none yet */
    double cost_ns;                /* its share of the time of its chunks */
    int64_t decoded_ns, looked_ns; /* the time when decoding ended; the time when the client was last seen connected */
};

/* A protocol: how a body is read and an answer written, both in a worker. Protocols are in api/, which gives each
   request its protocol. */
struct protocol {
    /* Read the body, find the model, bind the rows. Returns false with p->failure set. */
    bool (*decode)(struct prediction *p);
    /* Write the answer into p->request->answer.buffer; for a stream, only the rest. */
    void (*encode)(struct prediction *p);
    /* Free the data of decode; may be NULL. */
    void (*close)(struct prediction *p);
};

/* Prepare a request until its rows can run. Returns NULL if it has been answered already: with an error, or because
   there is nothing to compute. */
struct prediction *prediction_begin(struct request *request, struct worker *worker);

/* Whether outputs are taken after each chunk: for a stream, or to feed them back. */
bool prediction_in_pieces(const struct prediction *p);

/* Allow the head of its stream, if it has one, to be sent. */
void prediction_stream(struct prediction *p);

/* Forget a prediction that waits, whose request is answered with a failure: by the caller, unless its stream has begun. */
void prediction_abandon(struct prediction *p, const struct failure *failure);

/* Set the failure for NaN or Infinity in the answer for this row; SIZE_MAX: for the first row that has one. */
void prediction_nonfinite(struct prediction *p, size_t row);

/* Whether the prediction should stop; p->failure says why. */
bool prediction_stops(struct prediction *p);

/* The approximate number of values that its answer has. */
size_t prediction_values(const struct prediction *p);

/* Encode the answer, or the failure. The request then has its status. prediction_finish calls it if necessary. */
void prediction_answer(struct prediction *p);

/* Complete the request and free p. The caller then hands the request back to its thread. */
struct request *prediction_finish(struct prediction *p);
void prediction_hand_back(struct request *request, struct worker *worker);

/* Both of these. */
void prediction_end(struct prediction *p);

/* For protocols. Read the beginning of the body as an object with these keys, and find its model (the model of the
   target, if the target names one). */
bool prediction_read(struct prediction *p, const struct body_key *keys, size_t bytes);
struct batch_limits prediction_limits(const struct prediction *p);
/* Bind p->inputs, mask and states, which have these names in the body. Allocates the outputs, and sets up a
   roll-out. */
bool prediction_bind(struct prediction *p, const char *inputs, const char *states, bool single, bool sequences);

#endif
