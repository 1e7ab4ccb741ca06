/* Functions that only the files of a batch use. */
#ifndef SERVER_CODEC_BATCH_MEMORY_H
#define SERVER_CODEC_BATCH_MEMORY_H

#include "batch.h"

/* Allocate count elements from the batch's share of memory. Returns NULL with *failure set. batch_give frees the
   block. */
void *batch_take(struct batch *batch, size_t count, size_t size, struct failure *failure);
void batch_give(struct batch *batch, void *block, size_t count, size_t size);

/* Allocate batch->outputs_floats, and place every row in this memory: rows one after the other, or interleaved by
   timestep. */
bool batch_place_outputs(struct batch *batch, bool interleaved, struct failure *failure);

/* The number of entries of a part in the list of states: a bare cell counts as a stack of one. */
static inline size_t batch_part_entries(const struct graph_part *part)
{
    const struct rnn_cell_spec *spec = part->states.spec;
    return spec->class ? 1 : spec->n_cells;
}

#endif
