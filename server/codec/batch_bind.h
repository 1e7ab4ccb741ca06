/* Makes rows, which core can run, from the tensors of a body. Compares shapes with the model. */
#ifndef SERVER_CODEC_BATCH_BIND_H
#define SERVER_CODEC_BATCH_BIND_H

#include "batch.h"
#include "json_tensor.h"

struct batch_limits {
    size_t max_rows, max_timesteps, max_response_bytes;
};

/* Bind inputs to rows; key is their name in the body, of less than BATCH_KEY_BYTES. Each returns false with *failure set. */
bool batch_bind_inputs(struct batch *batch, const struct json_tensor *inputs, const char *key,
                       const struct batch_limits *limits, struct failure *failure);
/* After the inputs. mask may be absent. */
bool batch_bind_mask(struct batch *batch, const struct json_tensor *mask, struct failure *failure);
/* Initial states, in the nesting that answers have; absent: zeros. Without rows, batch->n_rows of them. */
bool batch_bind_states(struct batch *batch, const struct json_tensor *states, const char *key, struct failure *failure);
/* Set a state of all rows, [rows, width], after batch_bind_states. */
void batch_bind_state(struct batch *batch, const struct batch_tensor *tensor, const float *values);
/* The number of rows of states, from the first tensor that shows it; 0 if none does. */
size_t batch_rows_of_states(const struct json_tensor *states);
/* Allocate memory for the outputs, unless they are not kept. Call it last. */
bool batch_bind_outputs(struct batch *batch, const struct batch_limits *limits, struct failure *failure);

#endif
