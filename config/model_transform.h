/* Finds a model's transform, in its entry or in a file beside the model. */
#ifndef CONFIG_MODEL_TRANSFORM_H
#define CONFIG_MODEL_TRANSFORM_H

#include "model.h"

/**
 * Read the transform of a built model, if it has one: the entry's "transform"; transform.json in the model's folder;
 * NAME.transform.json beside NAME.keras. Without a transform model->transform is NULL.
 *
 * own  what the model's file has of it (a vocabulary), or NULL; the transform may have other values of these keys.
 * settings_file is for messages about the entry. False with problems added.
 */
bool model_transform_load(const struct model_entry *entry, const struct model_parts *parts, const char *settings_file,
                          const json_t *own, struct model *model, struct problems *problems);
void model_transform_close(struct model *model);

/* The path of a model's transform, in a buffer of MODEL_PATH_BYTES. path is the path of the model's entry. Returns
   false if the model has no such file. */
bool model_transform_find(const char *path, const struct model_parts *parts, char *out, struct problems *problems);

#endif
