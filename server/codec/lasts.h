/* The last timestep of a session, for models with "missing": "last": a missing value takes the previous value, also
   from an earlier request of the session. */
#ifndef SERVER_CODEC_LASTS_H
#define SERVER_CODEC_LASTS_H

#include "batch.h"

/* The number of floats that a session stores for the last timestep of a row, after the row's states. 0 if the model
   does not need it, or if the session stores windows, which contain it. */
size_t lasts_floats(const struct model *model);

/* Call after inputs are bound to a batch of a session. Missing values take the previous value in the request; those
   without a previous value wait for lasts_load. Returns false with *failure set if out of memory. */
bool lasts_bind(struct batch *batch, struct failure *failure);

/* Load the stored last timestep of row b from kept + b * stride; kept is NULL if nothing is stored. Call before the rows
   run (again). Returns false with *failure set if a missing value has no previous value. */
bool lasts_load(struct batch *batch, const float *kept, size_t stride, struct failure *failure);
/* Write the last timestep of row b, to be stored. Without inputs, all its values are unknown. */
void lasts_store(const struct batch *batch, size_t b, float *kept);

void lasts_close(struct batch *batch);

#endif
