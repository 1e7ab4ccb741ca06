/* Rows whose outputs are taken chunk by chunk: those of streams and of roll-outs. */
#ifndef SERVER_RUN_RUNNING_PIECES_H
#define SERVER_RUN_RUNNING_PIECES_H

#include "running_batch.h"

/* Whether the next input of a row is its previous output. */
bool slot_rolls(const struct row_slot *slot);

/* Whether the first output of a row that is run in pieces has a vector for each timestep of a chunk. */
bool slot_gives_steps(const struct row_slot *slot);

/* After a chunk: pass the outputs of a slot's row to its stream, and to the memory of its request. vectors are those of
   the first output. */
void running_take_pieces(const struct running_batch *running, struct row_slot *slot, const float *vectors);

#endif
