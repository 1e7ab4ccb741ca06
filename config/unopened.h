/* Why a file or folder could not be opened. */
#ifndef CONFIG_UNOPENED_H
#define CONFIG_UNOPENED_H

#include "problems.h"

/* Add an error about place.file with the text of an errno; where permission is missing, with mode and owner of the file, or
   of the folder above it that may not be entered, and the user of this process. */
void problem_unopened(struct problems *problems, struct place place, int error);

#endif
