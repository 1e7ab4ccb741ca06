/* The tables of Keras's layers, one for each family. A row has the function that reads the config of a layer. */
#ifndef CONFIG_KERAS_LAYER_KIND_H
#define CONFIG_KERAS_LAYER_KIND_H

#include "layer.h"

struct layer_kind {
    const char *name;
    const struct layer_class *class; /* NULL: read opens the layer, or refuses it */
    void (*read)(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out);
    const char *const *keys; /* the keys of config that may change the result; ends with NULL. NULL: read checks the
                                keys */
};

/* Each table ends with a row without a name. */
extern const struct layer_kind keras_attention_kinds[], keras_merge_kinds[], keras_normalization_kinds[],
    keras_resize_kinds[], keras_window_kinds[];

/* The row of a class name, or NULL. */
const struct layer_kind *keras_find_kind(const char *name);

/* Read a layer of a kind: its options, and the other keys of its config. */
void keras_read_kind(struct keras_reader *reader, const struct layer_kind *kind, const json_t *config, const char *path,
                     struct layer *out);

/* Returns false with a problem added if out of memory. */
bool keras_open_layer(const struct keras_reader *reader, const char *path, const struct layer_class *class,
                      struct layer *out);

/* Read RNN, LSTM, GRU or SimpleRNN as one part of a layer. Returns false if the class is none of them. */
bool keras_read_part(struct keras_reader *reader, const char *class_name, const json_t *config, const char *path,
                     struct layer *out, size_t part);
void keras_read_bidirectional(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out);

/* Check that data_format is channels_last, the only supported one. */
void keras_channels_last(const struct keras_reader *reader, const json_t *config, const char *path);

#endif
