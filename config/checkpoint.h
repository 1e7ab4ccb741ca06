/* TensorFlow's checkpoints and SavedModels: several files with one set of tensors. */
#ifndef CONFIG_CHECKPOINT_H
#define CONFIG_CHECKPOINT_H

#include "config/files/tensors.h"

/**
 * Read the tensors of a checkpoint in the load helper.
 *
 * index     its .index file; the .data files are beside it.
 * metadata  of the SavedModel that it belongs to: its keras_metadata.pb or, in old ones, saved_model.pb; NULL for a
 *           checkpoint alone.
 *
 * A tensor's name is its path through the model's objects ("naming" is "object"). Returns false with a problem added.
 */
bool checkpoint_open(struct tensor_set *set, const char *index, const char *metadata, struct problems *problems);

/* Whether a name is the name of a checkpoint's index. */
bool checkpoint_is_index(const char *name);

#endif
