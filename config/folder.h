/* A folder of models: each model file and each model folder in it is a separate model. */
#ifndef CONFIG_FOLDER_H
#define CONFIG_FOLDER_H

#include "problems.h"

struct folder_model {
    char *name, *path; /* the file's name without its ending; owned */
};

struct folder {
    struct folder_model *models; /* by name */
    size_t n;
};

/* Whether a path is a folder that is not itself a model: it has neither numbered versions nor a model.json. */
bool folder_of_models(const char *path);

/**
 * List the models of a folder. Names that start with a dot are skipped, symbolic links are followed, and each other
 * file that is not a model is a warning.
 *
 * Returns false with errors added if the folder or a file in it cannot be read, or if two models have the same name.
 * folder_close frees the list in any case.
 */
bool folder_read(struct folder *folder, const char *path, struct problems *problems);
void folder_close(struct folder *folder);

#endif
