/* Predictions of models with a transform: raw values as inputs, and outputs in raw units. */
#ifndef SERVER_RUN_PREDICTION_RAW_H
#define SERVER_RUN_PREDICTION_RAW_H

#include "prediction.h"

/* Whether to apply the model's transform: it has one, and the request does not have "raw": true. */
bool prediction_transforms(const struct prediction *p);

/**
 * Read a body and find its model, which determines how the inputs (BODY_INPUTS) are read: as float32 or as raw values.
 *
 * The model of a body is known only after reading it, so its name is searched in the text first. If this result was
 * wrong, the body is read a second time. Sets request->model, unless the body is not JSON or does not name a model.
 */
bool prediction_read_raw(struct prediction *p, struct json_body *body, const struct body_key *keys);

/* Call before the inputs are bound: convert raw values. key is their name in the body. */
bool prediction_scale(struct prediction *p, struct json_tensor *inputs, const char *key);
/* For inputs by name: "missing": "last" is only for models with one input. Returns false with p->failure set. */
bool prediction_takes_missing(struct prediction *p, const struct json_tensor *inputs, const char *key);

/* Call after the inputs are bound. */
bool prediction_fill_missing(struct prediction *p, const struct json_tensor *inputs);

/* In a session of a model with windows: make windows of the rows. Call after prediction_fill_missing. */
bool prediction_bind_window(struct prediction *p, const struct json_tensor *inputs);

/* If the request has "slide": make windows of the sequences. Call after the mask is bound. */
bool prediction_slide(struct prediction *p);

/* For protocols without null: check that every row has outputs. Otherwise returns false with p->failure set (409). The
   session stores the new timesteps anyway. */
bool prediction_has_outputs(struct prediction *p);

/* Call before the answer is written: convert the outputs to raw units. */
void prediction_unscale(struct prediction *p);
/* The same for n vectors [width] of an output in a stream, without changing them. Returns a copy in memory of the
   prediction, valid until the next call, or NULL if out of memory. */
const float *prediction_unscaled(struct prediction *p, size_t output, const float *values, size_t n, size_t width);

#endif
