/* Opening files of models, and telling by their first bytes what they are. */
#ifndef CONFIG_MODEL_FILE_H
#define CONFIG_MODEL_FILE_H

#include "problems.h"

#include <sys/types.h>

enum model_content {
    CONTENT_JSON,
    CONTENT_ARCHIVE,
    CONTENT_SAFETENSORS
}; /* what is neither of the others may be JSON */

/* Open a regular file of at most so many bytes; below 0 with a problem added. */
int model_file_open(const char *path, off_t most, struct problems *problems);

enum model_content model_file_content(int fd);

#endif
