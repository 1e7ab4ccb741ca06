/* A model as it is served: found on disk, read, built. */
#ifndef CONFIG_MODEL_H
#define CONFIG_MODEL_H

#include "core/rnn.h"
#include "settings.h"

struct model {
    char *name;       /* in URLs and answers */
    char version[24]; /* "1", or the number of its folder */
    char class_name[32], layer_name[64];
    struct rnn_layer layer;
    bool allow_nonfinite;
    bool has_weights_file;
    int keras_major;
    double load_seconds;
};

/**
 * Load what an entry names: a .json layer configuration, a folder with model.json beside one *.safetensors file, a
 * folder of numbered versions (the highest is taken), or the entry's inline layer.
 *
 * settings_file is for messages about inline layers; vec are the kernels to build for.
 * False with every problem added; the model is empty then. model_close frees it.
 */
bool model_load(const struct model_entry *entry, const char *settings_file, const struct vec_ops *vec,
                struct problems *problems, struct model *model);
void model_close(struct model *model);

#endif
