/* Finds the axis of each input that is the batch. */
#ifndef CONFIG_ONNX_BATCH_H
#define CONFIG_ONNX_BATCH_H

#include <jansson.h>
#include <stdbool.h>

/**
 * Each LSTM, GRU or RNN node fixes the batch axis of its inputs. From there, the search follows the graph backwards to its
 * inputs, through nodes that keep axes. In other inputs, the batch is the axis whose size has the same name, else axis 0.
 *
 * batches  an object that gets the axis by name. Returns false if memory is short.
 */
bool onnx_find_batches(const json_t *graph, json_t *batches);

/* The batch axis of an input; 0 if it is unknown. */
size_t onnx_find_batch(const json_t *batches, const char *name);

#endif
