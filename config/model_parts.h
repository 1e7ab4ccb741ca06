/* Which files make a model: one file, an architecture beside weights, a SavedModel, or the highest of numbered versions. */
#ifndef CONFIG_MODEL_PARTS_H
#define CONFIG_MODEL_PARTS_H

#include "problems.h"
#include "versions.h"

enum { MODEL_STAMP_BYTES = 200 };

/* An architecture, weights, or one file that holds both. "" where there is none. */
struct model_parts {
    char json_path[MODEL_PATH_BYTES], weights_path[MODEL_PATH_BYTES];
    char metadata_path[MODEL_PATH_BYTES]; /* of a SavedModel, whose index is weights_path */
    char version[MODEL_VERSION_BYTES];    /* the number of the version's folder, without leading zeros */
};

/* Find the files of what stands at path. version chooses a numbered folder, "" the highest. False with a problem added;
   parts->version is kept where only the folder of that version is at fault. */
bool model_parts_find(const char *path, const char *version, struct model_parts *parts, struct problems *problems);

/* Whether a path is a folder that is one model: it has numbered versions, a SavedModel, a model.json, or one
   architecture beside one file of weights. */
bool model_parts_in_folder(const char *path);

/* Whether an open JSON file describes a model or a layer. */
bool model_parts_is_architecture(int fd, const char *path);

/* The sizes of the files, without a checkpoint's data files but the first. */
double model_parts_bytes(const struct model_parts *parts);

/* What stands at path now, as text that changes when it does: version, and sizes and times of the files, or why there is
   none to read. */
void model_parts_stamp(const char *path, char out[MODEL_STAMP_BYTES]);

#endif
