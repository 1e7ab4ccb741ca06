/* Predictions of models with a transform: raw values in, and outputs in the units that people use. */
#ifndef SERVER_RUN_PREDICTION_RAW_H
#define SERVER_RUN_PREDICTION_RAW_H

#include "prediction.h"

/* Whether the model's transform is to be applied: it has one, and the request does not say "raw": true. */
bool prediction_transforms(const struct prediction *p);

/**
 * Read a body and find its model, which says how the inputs (BODY_INPUTS) are read: as float32 or as raw values.
 *
 * Which model a body means is known only when it has been read, so it is looked for in the text before; where that was
 * misleading, the body is read a second time. request->model is set unless the body is no JSON or names no model.
 */
bool prediction_read_raw(struct prediction *p, struct json_body *body, const struct body_key *keys);

/* Before the inputs are bound: raw values become the model's. key: their name in the body. */
bool prediction_scale(struct prediction *p, struct json_tensor *inputs, const char *key);
/* Of inputs by name: "missing": "last" is for models of one input. False with p->failure set. */
bool prediction_takes_missing(struct prediction *p, const struct json_tensor *inputs, const char *key);

/* Once they are bound. */
bool prediction_fill_missing(struct prediction *p, const struct json_tensor *inputs);

/* In a session of a model with windows: rows become windows. After that. */
bool prediction_bind_window(struct prediction *p, const struct json_tensor *inputs);

/* Where the request says "slide": rows become the windows of the sequences. After mask. */
bool prediction_slide(struct prediction *p);

/* For protocols that have no null: whether every row has outputs. False with p->failure set, 409; the session keeps the new
   timesteps all the same. */
bool prediction_has_outputs(struct prediction *p);

/* Before the answer is written: its outputs in the units that people use. */
void prediction_unscale(struct prediction *p);
/* The same of n vectors [width] of an output in a stream, which stay as they are: a copy is in p->batch's memory until the next call. NULL when
   memory is short. */
const float *prediction_unscaled(struct prediction *p, size_t output, const float *values, size_t n, size_t width);

#endif
