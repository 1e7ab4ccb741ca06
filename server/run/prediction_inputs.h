/* The named inputs of a prediction: {"inputs": {"history": …}} by columns, {"instances": [{"history": …}]} by rows. */
#ifndef SERVER_RUN_PREDICTION_INPUTS_H
#define SERVER_RUN_PREDICTION_INPUTS_H

#include "prediction.h"

/* The tensors of a model's inputs, if the body names them. */
struct named_inputs {
    struct json_tensor *tensors, *masks; /* [n] each; NULL if the body does not name them */
    struct raw_reading *readings;        /* [n] */
    size_t n;
    const char *key; /* the key in the body: "inputs", "instances" */
    bool rows;       /* the body has an object for each row */
};

/* Call after a body was read with these keys (BODY_INPUTS are inputs, BODY_BOOLEANS masks). If its inputs are objects
   with names, reads them. Returns false with p->failure set. */
bool prediction_read_named(struct prediction *p, struct json_body *body, const struct body_key *keys, bool good);

/* Whether the only problem of a body without a known model is that it has inputs by name. */
bool prediction_failed_at_names(const struct prediction *p, const struct body_key *keys);

/* Make empty tensors for all inputs of the request's model, with the conversions of its transform: p->named. Returns
   NULL with p->failure set. */
struct named_inputs *prediction_open_named(struct prediction *p);

/* Bind inputs and masks, with or without names. key is the body's key of inputs without names. */
bool prediction_bind_inputs(struct prediction *p, const char *key);

void prediction_close_named(struct prediction *p);

#endif
