/* Serialized RNN cells, stacks and cell wrappers become core's specs. */
#ifndef CONFIG_KERAS_CELL_H
#define CONFIG_KERAS_CELL_H

#include "core/rnn.h"
#include "json.h"

/* Whether this is the name of a cell, a stack or a wrapper of cells. */
bool keras_is_cell(const char *class_name);

/* A cell, stack or wrapped cell; with a list in place of an object, a stack of its cells. NULL with problems added. */
struct rnn_cell_spec *keras_cell(struct keras_reader *reader, const json_t *json, const char *path);

/* The cell that a layer (LSTM, GRU, SimpleRNN) is an RNN over; its arguments are among the layer's own, which have the
   keys layer_keys besides (ending with NULL; NULL: none). */
struct rnn_cell_spec *keras_cell_of_layer(struct keras_reader *reader, const struct cell_class *class,
                                          const json_t *config, const char *path, const char *const *layer_keys);

/* ", LSTMCell, …": what a message can list. */
void keras_known_cells(char *out, size_t size);

#endif
