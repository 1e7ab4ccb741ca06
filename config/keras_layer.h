/* A layer as Keras serializes it (JSON) becomes a spec that core can build. */
#ifndef CONFIG_KERAS_LAYER_H
#define CONFIG_KERAS_LAYER_H

#include "core/rnn.h"
#include "problems.h"

#include <jansson.h>

/* What a configuration says: the options (the stack in it is empty), the cells, the features. */
struct keras_layer {
    struct rnn_layer options;
    struct rnn_cell_spec *cell; /* owned */
    size_t input_size;          /* 0: the configuration does not say */
    int keras_major;
    char class_name[32], name[64];
};

/**
 * Read a layer: RNN, StackedRNNCells, a single cell, or LSTM, GRU, SimpleRNN; Keras 2's and 3's spellings.
 *
 * path    JSON pointer of `json` in the file, for messages.
 * Every problem is added; false when there was one, and *out holds nothing then.
 */
bool keras_layer_read(const json_t *json, const char *file, const char *path, struct problems *problems,
                      struct keras_layer *out);
void keras_layer_close(struct keras_layer *layer);

#endif
