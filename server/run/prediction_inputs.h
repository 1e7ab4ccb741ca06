/* The named inputs of a prediction: {"inputs": {"history": …}} by columns, {"instances": [{"history": …}]} by rows. */
#ifndef SERVER_RUN_PREDICTION_INPUTS_H
#define SERVER_RUN_PREDICTION_INPUTS_H

#include "prediction.h"

/* The tensors of a model's inputs, where a body names them. */
struct named_inputs {
    struct json_tensor *tensors, *masks; /* [n] each; NULL: the body does not name them */
    struct raw_reading *readings;        /* [n] */
    size_t n;
    const char *key; /* in the body: "inputs", "instances" */
    bool rows;       /* an object for each row */
};

/* After a body was read with these keys (of which BODY_INPUTS are inputs and BODY_BOOLEANS masks): where its inputs are
   objects of names, they are read as such. False with p->failure set. */
bool prediction_read_named(struct prediction *p, struct json_body *body, const struct body_key *keys, bool good);

/* Whether what is wrong with a body of no known model are inputs by name, which only a model can read. */
bool prediction_failed_at_names(const struct prediction *p, const struct body_key *keys);

/* Empty tensors for all inputs of the request's model, with the readings of its transform: p->named. NULL with p->failure
   set. */
struct named_inputs *prediction_open_named(struct prediction *p);

/* Bind inputs and masks, named or not. key: the name of inputs that are not. */
bool prediction_bind_inputs(struct prediction *p, const char *key);

void prediction_close_named(struct prediction *p);

#endif
