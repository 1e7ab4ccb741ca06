/* Makes rows for core from the tensors of a body. Compares shapes with the model. */
#ifndef SERVER_CODEC_BATCH_BIND_H
#define SERVER_CODEC_BATCH_BIND_H

#include "batch.h"
#include "json_tensor.h"

struct batch_limits {
    size_t max_rows, max_timesteps, max_response_bytes;
};

/* Bind inputs to rows; key is their name in the body, shorter than BATCH_KEY_BYTES. All functions return false with
   *failure set. */
bool batch_bind_inputs(struct batch *batch, const struct json_tensor *inputs, const char *key,
                       const struct batch_limits *limits, struct failure *failure);
/* Call after the inputs are bound. mask may be absent. */
bool batch_bind_mask(struct batch *batch, const struct json_tensor *mask, struct failure *failure);
/* Bind initial states, nested as in answers. If absent, states are zeros. A batch without rows gets batch->n_rows
   states. */
bool batch_bind_states(struct batch *batch, const struct json_tensor *states, const char *key, struct failure *failure);
/* Set one state of all rows, [rows, width]. Call after batch_bind_states. */
void batch_bind_state(struct batch *batch, const struct batch_tensor *tensor, const float *values);
/* The number of rows of states, from the first tensor that has one; 0 if there is none. */
size_t batch_rows_of_states(const struct json_tensor *states);
/* Allocate memory for the outputs, unless they go into a stream. Call last. */
bool batch_bind_outputs(struct batch *batch, const struct batch_limits *limits, struct failure *failure);

#endif
