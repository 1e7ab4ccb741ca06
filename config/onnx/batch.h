/* Which axis of a model's inputs is the batch. */
#ifndef CONFIG_ONNX_BATCH_H
#define CONFIG_ONNX_BATCH_H

#include <jansson.h>
#include <stdbool.h>

/**
 * An LSTM, GRU or RNN node says where the batch is in what it takes: from there the way leads back through the nodes that
 * keep axes to the inputs of the graph. Other inputs have it where an axis has the same name, else first.
 *
 * batches  an object that gets the axis by name. False when memory is short.
 */
bool onnx_find_batches(const json_t *graph, json_t *batches);

/* The axis of an input; 0 where nothing is known. */
size_t onnx_find_batch(const json_t *batches, const char *name);

#endif
