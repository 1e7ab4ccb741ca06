/* Opening the files of models and settings, and why one could not be opened. */
#ifndef CONFIG_OPEN_FILE_H
#define CONFIG_OPEN_FILE_H

#include "problems.h"

#include <sys/types.h>

/* Open a regular file of at most so many bytes; below 0 with a problem added. */
int open_regular(const char *path, off_t most, struct problems *problems);

/* Add an error about place.file with the text of an errno; where permission is missing, with mode and owner of the file, or
   of the folder above it that may not be entered, and the user of this process. */
void problem_unopened(struct problems *problems, struct place place, int error);

#endif
