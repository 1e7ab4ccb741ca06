/* A serialized model (Sequential, Functional, or a lone layer) becomes a graph of configured layers. */
#ifndef CONFIG_KERAS_MODEL_H
#define CONFIG_KERAS_MODEL_H

#include "layer.h"

#include "core/graph.h"

enum { KERAS_GROUP_BYTES = 224, KERAS_TENSORS_BYTES = 96 };

/* Where the weights of a layer stand in files. */
struct keras_place {
    char group[KERAS_GROUP_BYTES];     /* in Keras 3's weight files: "layers/lstm_1", "layers/functional/layers/lstm" */
    char tensors[KERAS_TENSORS_BYTES]; /* before the names of its tensors: "layers.2.", "layers.2.layers.0." */
    size_t top;                        /* which layer of the outermost model it is, or belongs to */
    bool nested;                       /* it belongs to a model within the model */
    bool frozen;                       /* "trainable": false */
};

/* What a configuration says. */
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
 * Every problem is added; false when there was one, and *out holds nothing then.
 */
bool keras_model_read(const json_t *json, const char *file, const char *path, const char *keras_version,
                      struct problems *problems, struct keras_model *out);
void keras_model_close(struct keras_model *model);

/* A new layer of the model with its place; NULL, with a problem, when memory is short or there are too many. */
struct layer *keras_model_add(struct keras_reader *reader, const char *path, struct keras_model *model,
                              const struct keras_place *place);

/* "LSTMCell" becomes "lstm_cell", Keras's naming.to_snake_case. */
void keras_snake_case(const char *name, char *out, size_t size);

#endif
