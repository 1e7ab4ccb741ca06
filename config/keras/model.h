/* A serialized model (Sequential, a Functional plain chain, or a lone layer) becomes a chain of configured layers. */
#ifndef CONFIG_KERAS_MODEL_H
#define CONFIG_KERAS_MODEL_H

#include "layer.h"

/* What a configuration says. */
struct keras_model {
    struct graph model; /* owned; its layers are configured, not built */
    bool is_chain;      /* Sequential or Functional: tensors' names have "layers.N." before them */
    int keras_major;
    char class_name[32], name[64];
    /* Of a chain: each layer's group in Keras 3's weight files, "lstm_1". */
    char (*groups)[LAYER_NAME_BYTES];
};

/**
 * Read a model in Keras 2's or Keras 3's spelling.
 *
 * path           JSON pointer of `json` in the file, for messages.
 * keras_version  of the file that holds the configuration, or NULL; the configuration's own keras_version otherwise.
 * Every problem is added; false when there was one, and *out holds nothing then.
 */
bool keras_model_read(const json_t *json, const char *file, const char *path, const char *keras_version,
                      struct problems *problems, struct keras_model *out);
void keras_model_close(struct keras_model *model);

/* "LSTMCell" becomes "lstm_cell", Keras's naming.to_snake_case. */
void keras_snake_case(const char *name, char *out, size_t size);

#endif
