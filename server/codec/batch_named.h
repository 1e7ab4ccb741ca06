/* Tensors for all inputs of a model become rows: any number of axes, several inputs. batch_bind.h has the form of one input
   of sequences of vectors. */
#ifndef SERVER_CODEC_BATCH_NAMED_H
#define SERVER_CODEC_BATCH_NAMED_H

#include "batch_bind.h"

/* Whether batch_bind_inputs cannot bind the inputs of a model: there are several, or more axes than two. */
bool batch_needs_named(const struct graph *graph);

/* Bind a tensor for each input of the model. key is their place in the body, "inputs", or "instances" where each row has
   its own object (rows). False with *failure set. */
bool batch_bind_named(struct batch *batch, const struct json_tensor *tensors, const char *key, bool rows,
                      const struct batch_limits *limits, struct failure *failure);

/* Masks by input, each may be absent; after the inputs. */
bool batch_bind_named_masks(struct batch *batch, const struct json_tensor *masks, struct failure *failure);

#endif
