/* Weights for the layers of a model, from a set of named tensors or from the initializers. */
#ifndef CONFIG_WEIGHTS_H
#define CONFIG_WEIGHTS_H

#include "config/files/digest.h"
#include "config/files/tensors.h"
#include "config/keras/model.h"

/* The way in which a file names its tensors. */
enum tensor_naming {
    NAMED_BY_PATH,     /* "layers.2.cells.0.kernel", "cells.0.kernel" */
    NAMED_BY_GROUP,    /* files of Keras 3: "layers/lstm_1/cell/vars/0" */
    NAMED_BY_POSITION, /* in the order of Keras's get_weights() */
};

/* The naming according to the metadata of an archive; NAMED_BY_PATH if the metadata do not say it. */
enum tensor_naming tensor_naming_of(const struct tensor_set *set);

/**
 * Build every layer of config->model, and finish the model.
 *
 * set         the file's tensors, or NULL for initializers seeded with seed.
 * input_size  of the model's entry, 0 when not given; must agree with what configuration and tensors say.
 * place       the file, for messages.
 *
 * digest      gets the numbers of every tensor.
 *
 * Float32 tensors are read in place. Other tensors are converted, one layer at a time. Returns false with every
 * missing, misshapen and unused tensor added to problems.
 */
bool weights_build(struct keras_model *config, const struct tensor_set *set, enum tensor_naming naming, uint64_t seed,
                   size_t input_size, const struct vec_ops *vec, struct digest *digest, struct place place,
                   struct problems *problems);

#endif
