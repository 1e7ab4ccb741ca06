/* Converts a serialized model (Sequential, Functional, or a single layer) to a graph of configured layers. */
#ifndef CONFIG_KERAS_MODEL_H
#define CONFIG_KERAS_MODEL_H

#include "layer.h"

#include "core/graph.h"

enum { KERAS_GROUP_BYTES = 224, KERAS_TENSORS_BYTES = 96 };

/* The places of a layer's weights in files. */
struct keras_place {
    char group[KERAS_GROUP_BYTES];     /* in Keras 3's weight files: "layers/lstm_1", "layers/functional/layers/lstm" */
    char tensors[KERAS_TENSORS_BYTES]; /* the prefix of its tensors' names: "layers.2.", "layers.2.layers.0." */
    size_t top;                        /* the index of the layer in the outermost model, or of the layer that contains
                                          it */
    bool nested;                       /* it belongs to a model inside the model */
    bool frozen;                       /* "trainable": false */
};

/* The result of reading a configuration. */
struct keras_model {
    struct graph model; /* owned; its layers are configured, not built */
    bool is_chain;      /* Sequential or Functional: tensors' names have "layers.N." before them */
    int keras_major;
    char class_name[32], name[64];
    struct keras_place
        *places; /* [places_room], one for each layer of the model; the first ones, in the file's order */
    size_t places_room;
};

/**
 * Read a model in Keras 2's or Keras 3's spelling.
 *
 * path           JSON pointer of `json` in the file, for messages.
 * keras_version  of the file that holds the configuration, or NULL; the configuration's own keras_version otherwise.
 * Every problem is added. Returns false if there was a problem; then *out is empty.
 */
bool keras_model_read(const json_t *json, const char *file, const char *path, const char *keras_version,
                      struct problems *problems, struct keras_model *out);
void keras_model_close(struct keras_model *model);

/* Add a layer to the model, with its place. Returns NULL with a problem added if out of memory, or if there are too
   many layers. */
struct layer *keras_model_add(struct keras_reader *reader, const char *path, struct keras_model *model,
                              const struct keras_place *place);

/* "LSTMCell" becomes "lstm_cell", Keras's naming.to_snake_case. */
void keras_snake_case(const char *name, char *out, size_t size);

#endif
