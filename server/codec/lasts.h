/* The last timestep of a session, for models with "missing": "last": a missing value takes the previous value, also
   from an earlier request of the session. */
#ifndef SERVER_CODEC_LASTS_H
#define SERVER_CODEC_LASTS_H

#include "batch.h"

/* Numbers that a session keeps of a row for it, behind the row's states; 0: the model has no such values, or it keeps
   windows, which have them. */
size_t lasts_floats(const struct model *model);

/* Once inputs are bound to a batch of a session: missing values take those before them in the request. What has none there
   waits for lasts_load. False with *failure set: memory is short. */
bool lasts_bind(struct batch *batch, struct failure *failure);

/* What was kept, of row b at kept + b * stride, or NULL for nothing: before the rows run (again). False with *failure set: a
   missing value has none before it. */
bool lasts_load(struct batch *batch, const float *kept, size_t stride, struct failure *failure);
/* What is to be kept of row b; without inputs, nothing is known. */
void lasts_store(const struct batch *batch, size_t b, float *kept);

void lasts_close(struct batch *batch);

#endif
