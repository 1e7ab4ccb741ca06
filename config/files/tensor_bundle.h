/* TensorFlow's checkpoints and SavedModels: a table of tensors (.index), their numbers in shards
   (.data-00000-of-00001), and Keras's metadata. Runs only in the load helper. */
#ifndef CONFIG_FILES_TENSOR_BUNDLE_H
#define CONFIG_FILES_TENSOR_BUNDLE_H

#include "handover.h"

/* A file in memory. */
struct file_bytes {
    const unsigned char *bytes;
    size_t n;
};

/* The kind of metadata. It is an argument of the helper, because the files have no magic bytes. */
enum bundle_metadata {
    BUNDLE_CHECKPOINT, /* none: a checkpoint beside a model.json */
    BUNDLE_KERAS,      /* keras_metadata.pb, TensorFlow 2.5 to 2.15 */
    BUNDLE_SAVED,      /* saved_model.pb, which had Keras's metadata in it before TensorFlow 2.5 */
};

/**
 * List the tensors of the layers of a Keras model. The files must not change until the tensors are written.
 *
 * Tensors are named by their way through the model's objects, "layer-0/cell/cells/1/kernel"; "naming" in the metadata
 * becomes "object". "config" and "keras_version" are set if there are metadata. Checksums are verified.
 */
bool tensor_bundle_read(struct handover *out, struct file_bytes index, enum bundle_metadata kind,
                        struct file_bytes metadata, const struct file_bytes *shards, size_t n_shards);

#endif
