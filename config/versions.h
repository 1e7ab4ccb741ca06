/* The numbered versions of a model: folders whose names are digits. */
#ifndef CONFIG_VERSIONS_H
#define CONFIG_VERSIONS_H

#include <limits.h>
#include <stdbool.h>

enum { MODEL_PATH_BYTES = 4096, MODEL_VERSION_BYTES = 24 };

/* Whether a folder of this name is a version of the model above it: digits alone. */
bool model_is_version(const char *name);

/* The order of two version numbers: below 0, 0 or above 0. */
int model_version_compare(const char *a, const char *b);

/* The highest number of the version folders in a folder; if `below` is not "", the highest number below it. Returns
   false if there is none. */
bool model_version_below(const char *path, const char *below, char version[MODEL_VERSION_BYTES]);

/* Whether a folder has a version folder with this number. */
bool model_version_exists(const char *path, const char *version);

/* A version's number without its leading zeros; "0" for zero. */
const char *version_digits(const char *name);

/* Which version folder to find: the highest; the one with a number; or the highest below a number. */
struct version_search {
    const char *only, *below; /* "" for any */
    char name[NAME_MAX + 1];  /* the number of the folder that was found, or "" */
    bool twice;               /* two folders have this number */
};

/* Look at an entry of a folder. */
void version_consider(struct version_search *search, const char *folder, const char *name);

#endif
