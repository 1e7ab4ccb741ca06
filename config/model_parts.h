/* Finds the files of a model: one file, an architecture beside weights, a SavedModel, or the highest numbered
   version. */
#ifndef CONFIG_MODEL_PARTS_H
#define CONFIG_MODEL_PARTS_H

#include "problems.h"
#include "versions.h"

enum { MODEL_STAMP_BYTES = 200 };

/* The paths of the architecture and of the weights, which may be the same file. "" if there is none. */
struct model_parts {
    char json_path[MODEL_PATH_BYTES], weights_path[MODEL_PATH_BYTES];
    char metadata_path[MODEL_PATH_BYTES]; /* the folder of a SavedModel; weights_path is its index */
    char version[MODEL_VERSION_BYTES];    /* the number of the version's folder, without leading zeros */
};

/* Find the files of the model at path. version chooses a numbered folder, "" the highest. Returns false with a problem
   added. If only the folder of one version is at fault, parts->version is set. */
bool model_parts_find(const char *path, const char *version, struct model_parts *parts, struct problems *problems);

/* Whether a path is a folder with one model: with numbered versions, a SavedModel, a model.json, or one architecture
   beside one file of weights. */
bool model_parts_in_folder(const char *path);

/* Whether an open JSON file describes a model or a layer. */
bool model_parts_is_architecture(int fd, const char *path);

/* The sizes of the files. Of a checkpoint's data files only the first counts. */
double model_parts_bytes(const struct model_parts *parts);

/* A text that changes when the files at path change. It has the version and the sizes and times of the files, or the
   reason why they cannot be read. */
void model_parts_stamp(const char *path, char out[MODEL_STAMP_BYTES]);

#endif
