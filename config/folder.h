/* A folder of models: every model file and model folder in it is a model of its own. */
#ifndef CONFIG_FOLDER_H
#define CONFIG_FOLDER_H

#include "problems.h"

struct folder_model {
    char *name, *path; /* the name without the ending of a file; owned */
};

struct folder {
    struct folder_model *models; /* by name */
    size_t n;
};

/* Whether a path is a folder that is no model itself: it has neither numbered versions nor a model.json. */
bool folder_of_models(const char *path);

/**
 * List the models of a folder. What starts with a dot is passed over, symbolic links are followed, and what is no model is
 * a warning.
 *
 * False with errors added: the folder or a file in it cannot be read, or two models have one name. folder_close frees the
 * list in any case.
 */
bool folder_read(struct folder *folder, const char *path, struct problems *problems);
void folder_close(struct folder *folder);

#endif
