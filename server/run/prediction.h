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
    bool finite;   /* what has been encoded so far has no NaN or Infinity */
    bool answered; /* the answer stands in the request */

    /* what bodies have */
    char model[BODY_TEXT_BYTES];
    struct json_tensor inputs, states, mask;
    struct named_inputs *named; /* inputs by name (prediction_inputs.h); NULL: `inputs` */
    int return_sequences;       /* -1: not said */
    int slide;                  /* 1: the windows of longer sequences; -1: not said */
    int return_windows;         /* 1: an output for each new timestep of a session; -1: not said */
    int raw;                    /* 1: the model's transform is skipped; -1: not said */
    struct raw_reading reading; /* of the inputs */
    float *unscaled;            /* [unscaled_floats] outputs of a stream, held by the request's share of memory */
    size_t unscaled_floats;
    void *own; /* the protocol's: what decode leaves for encode and close */
    struct session_use session;
    struct rollout rollout;

    /* how many of its rows were admitted to a running batch, and are done; how far each is, its batch knows */
    size_t admitted, finished;
    bool behind; /* it was removed from its running batch, for the reader of its stream to catch up or for others */
    int64_t slots_since_ns;        /* since when its rows have slots there; 0: they have none yet */
    double cost_ns;                /* its share of the chunks it took part in */
    int64_t decoded_ns, looked_ns; /* when decoding ended; when it was last seen that the client is there */
};

/* A protocol: how a body is read and an answer written, both in a worker. Protocols are in api/, which gives each
   request its protocol. */
struct protocol {
    /* Read the body, find the model, bind the rows. False with p->failure set. */
    bool (*decode)(struct prediction *p);
    /* Write the answer into p->request->answer.buffer; of a stream, what is left to be written. */
    void (*encode)(struct prediction *p);
    /* Free what decode has made; may be NULL. */
    void (*close)(struct prediction *p);
};

/* Prepare a request until its rows can run. Returns NULL if it has been answered already: with an error, or because
   there is nothing to compute. */
struct prediction *prediction_begin(struct request *request, struct worker *worker);

/* Whether its outputs are taken after each chunk: for a stream, or to feed them back. */
bool prediction_in_pieces(const struct prediction *p);

/* The head of its stream, where it has one, can go out. */
void prediction_stream(struct prediction *p);

/* Forget a prediction that waits, whose request is answered with a failure: by the caller, unless its stream has begun. */
void prediction_abandon(struct prediction *p, const struct failure *failure);

/* The answer for a row has NaN or Infinity, which its model may not give. SIZE_MAX: for the first row that has. */
void prediction_nonfinite(struct prediction *p, size_t row);

/* Whether the prediction should stop; p->failure says why. */
bool prediction_stops(struct prediction *p);

/* Encode the answer, or the failure: the request has its status then. prediction_end does so where it is not done. */
void prediction_answer(struct prediction *p);

/* Hand the request back with its answer. This frees p. */
void prediction_end(struct prediction *p);

/* For protocols. Read the first bytes of the body as an object with these keys and find its model (that of the target, if
   it names one). */
bool prediction_read(struct prediction *p, const struct body_key *keys, size_t bytes);
struct batch_limits prediction_limits(const struct prediction *p);
/* Bind p->inputs, mask and states, which have these names in the body, and room for the outputs; also a roll-out. */
bool prediction_bind(struct prediction *p, const char *inputs, const char *states, bool single, bool sequences);

#endif
