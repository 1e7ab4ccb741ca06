/* The tables of Keras's layers, one for each family: how to read the config of each layer. */
#ifndef CONFIG_KERAS_LAYER_KIND_H
#define CONFIG_KERAS_LAYER_KIND_H

#include "layer.h"

/* A row. */
struct layer_kind {
    const char *name;
    const struct layer_class *class; /* NULL: read opens the layer, or refuses it */
    void (*read)(struct keras_reader *reader, const json_t *config, const char *path, struct layer *out);
    const char *const *keys; /* keys, without those that change nothing at inference; ends with NULL; NULL: read checks
                                the keys */
};

/* Each ends with a row without a name. */
extern const struct layer_kind keras_attention_kinds[], keras_merge_kinds[], keras_normalization_kinds[],
    keras_resize_kinds[], keras_window_kinds[];

/* Of a layer's class name; NULL: there is none. */
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

/* The numbers of a sequence lie feature by feature here, which is Keras's channels_last. */
void keras_channels_last(const struct keras_reader *reader, const json_t *config, const char *path);

#endif
