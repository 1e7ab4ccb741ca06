/* Which files make a model: one file, a configuration beside weights, or the highest of a folder's numbered versions. */
#ifndef CONFIG_MODEL_FILES_H
#define CONFIG_MODEL_FILES_H

#include "problems.h"

#include <stdio.h>

enum { MODEL_PATH_BYTES = 4096, MODEL_VERSION_BYTES = 24, MODEL_STAMP_BYTES = 200 };

/* A configuration, weights, or one file that holds both. "" where there is none. */
struct model_files {
    char json_path[MODEL_PATH_BYTES], weights_path[MODEL_PATH_BYTES];
    char version[MODEL_VERSION_BYTES]; /* the number of the version's folder, without leading zeros */
};

/* Find the files of what stands at path. version chooses a numbered folder, "" the highest. False with a problem added;
   files->version is kept where only the folder of that version is at fault. */
bool model_files_find(const char *path, const char *version, struct model_files *files, struct problems *problems);

/* Whether a folder of this name is a version of the model above it: digits alone. */
bool model_is_version(const char *name);

/* The highest number of a version folder in a folder, below `below` where that is not "". False: there is none. */
bool model_version_below(const char *path, const char *below, char version[MODEL_VERSION_BYTES]);

/* Whether a folder has a version folder of this number. */
bool model_version_exists(const char *path, const char *version);

/* What stands at path now, as text that changes when it does: version, and sizes and times of the files, or why there is
   none to read. */
void model_files_stamp(const char *path, char out[MODEL_STAMP_BYTES]);

/* The order of two version numbers: below 0, 0 or above 0. */
int model_version_compare(const char *a, const char *b);

#endif
