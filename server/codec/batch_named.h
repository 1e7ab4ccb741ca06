/* Makes rows from tensors for several inputs, with any number of axes. batch_bind.h has the simple case: one input of
   sequences of vectors. */
#ifndef SERVER_CODEC_BATCH_NAMED_H
#define SERVER_CODEC_BATCH_NAMED_H

#include "batch_bind.h"

/* Whether a model needs the functions of this file: it has several inputs, or an input with more than two axes. */
bool batch_needs_named(const struct graph *graph);

/* Bind a tensor for each input of the model. key is their name in the body: "inputs", or with `rows` "instances", where
   each row is an object. Returns false with *failure set. */
bool batch_bind_named(struct batch *batch, const struct json_tensor *tensors, const char *key, bool rows,
                      const struct batch_limits *limits, struct failure *failure);

/* Bind a mask for each input; each may be absent. Call after the inputs are bound. */
bool batch_bind_named_masks(struct batch *batch, const struct json_tensor *masks, struct failure *failure);

#endif
