/* Writes outputs and states of rows as tensors of an answer. */
#ifndef SERVER_CODEC_BATCH_WRITE_H
#define SERVER_CODEC_BATCH_WRITE_H

#include "batch.h"
#include "buffer.h"

/* The i-th tensor of a model, outputs first. Returns false past the last. */
bool batch_tensor_at(const struct graph *graph, size_t i, struct batch_tensor *out);

/* The shape of a tensor of the answer as a full array, [rows, (timesteps,) width]. Returns its rank. */
size_t batch_tensor_shape(const struct batch *batch, const struct batch_tensor *tensor, size_t shape[BATCH_MAX_RANK]);
/* Copy a tensor into a full array, with zeros after the end of shorter sequences. Returns false if a value is NaN or
   infinite. */
bool batch_copy_tensor(const struct batch *batch, const struct batch_tensor *tensor, float *out);

/* Write a tensor as JSON: the whole tensor, with each sequence's own length; or the part of one row. *finite becomes
   false if a number is not finite. */
void batch_write_tensor(const struct batch *batch, const struct batch_tensor *tensor, struct buffer *out, bool *finite);
void batch_write_row(const struct batch *batch, const struct batch_tensor *tensor, size_t b, struct buffer *out,
                     bool *finite);

/* Write "outputs": […] and "states": […] as JSON. *finite becomes false if a number is not finite. */
void batch_write_outputs(const struct batch *batch, struct buffer *out, bool *finite);
void batch_write_states(const struct batch *batch, struct buffer *out, bool *finite);
/* "state_layers": the name of the layer that each entry of the states belongs to. */
void batch_write_state_layers(const struct batch *batch, struct buffer *out);

#endif
