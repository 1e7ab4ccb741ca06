/* Opens the files of models and settings, and explains errors. */
#ifndef CONFIG_OPEN_FILE_H
#define CONFIG_OPEN_FILE_H

#include "problems.h"

#include <sys/types.h>

/* Open a regular file of at most the given number of bytes. Returns a negative number with a problem added. */
int open_regular(const char *path, off_t most, struct problems *problems);

/* Add an error about place.file with the text of errno. If permission is missing, the error also has the user of this
   process, and the mode and owner of the file, or of the folder that may not be entered. */
void problem_unopened(struct problems *problems, struct place place, int error);

#endif
