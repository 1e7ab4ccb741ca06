/* Converts serialized RNN cells, stacks and cell wrappers to core's specs. */
#ifndef CONFIG_KERAS_CELL_H
#define CONFIG_KERAS_CELL_H

#include "core/rnn.h"
#include "json.h"

/* Whether a name is the class of a cell, a stack or a wrapper of cells. */
bool keras_is_cell(const char *class_name);

/* Read a cell, stack or wrapped cell. A list instead of an object is a stack of its cells. Returns NULL with problems
   added. */
struct rnn_cell_spec *keras_cell(struct keras_reader *reader, const json_t *json, const char *path);

/* Read the cell of a layer (LSTM, GRU, SimpleRNN). The layer's config has the arguments of the cell, and the keys
   layer_keys (a list that ends with NULL, or NULL). */
struct rnn_cell_spec *keras_cell_of_layer(struct keras_reader *reader, const struct cell_class *class,
                                          const json_t *config, const char *path, const char *const *layer_keys);

/* ", LSTMCell, …", for messages. */
void keras_known_cells(char *out, size_t size);

#endif
