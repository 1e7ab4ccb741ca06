/* Where a model's transform stands: in its entry, or in a file beside the model. */
#ifndef CONFIG_MODEL_TRANSFORM_H
#define CONFIG_MODEL_TRANSFORM_H

#include "model.h"

/**
 * Read the transform of a model that has just been built, if there is one: the entry's "transform"; transform.json in the
 * model's folder; NAME.transform.json beside NAME.keras. model->transform is NULL without one.
 *
 * settings_file is for messages about the entry. False with problems added.
 */
bool model_transform_load(const struct model_entry *entry, const struct model_parts *parts, const char *settings_file,
                          struct model *model, struct problems *problems);
void model_transform_close(struct model *model);

/* The file of a model's transform, MODEL_PATH_BYTES; false where there is none. path: what the model's entry names. */
bool model_transform_find(const char *path, const struct model_parts *parts, char *out, struct problems *problems);

#endif
