/* Shortest decimal text of a float32. */
#ifndef SERVER_CODEC_NUMBER_WRITE_H
#define SERVER_CODEC_NUMBER_WRITE_H

#include <stddef.h>

/* NUMBER_MAX_CHARS: the longest text, "-1.1754944e-38", and a reserve. NUMBER_SLACK: the number of bytes after the text
   that may be overwritten. */
enum { NUMBER_MAX_CHARS = 16, NUMBER_SLACK = 8 };

/* Write the shortest decimal that reads back to the same float32; if there are several, the nearest. Whole numbers get
   ".0". NaN, Infinity and -Infinity are written with these names. Writes no NUL byte. Returns the end. out has room for
   NUMBER_MAX_CHARS and NUMBER_SLACK. */
char *number_write(float value, char *out);

/* The same for n numbers, with a comma after each. out has room for n times NUMBER_MAX_CHARS + 1, and NUMBER_SLACK. */
char *numbers_write(const float *values, size_t n, char *out);

#endif
