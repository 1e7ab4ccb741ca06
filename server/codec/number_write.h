/* Shortest decimal text of a float32. */
#ifndef SERVER_CODEC_NUMBER_WRITE_H
#define SERVER_CODEC_NUMBER_WRITE_H

#include <stddef.h>

/* The longest text, "-1.1754944e-38", with room to spare; and how many bytes behind the text may be written too. */
enum { NUMBER_MAX_CHARS = 16, NUMBER_SLACK = 8 };

/* Write the shortest decimal that reads back to the same float32; of several, the nearest. Whole numbers get ".0";
   NaN, Infinity and -Infinity are written so. No terminator. Returns the end. out has room for NUMBER_MAX_CHARS and
   NUMBER_SLACK. */
char *number_write(float value, char *out);

/* The same for n numbers, with a comma after each: room for n of NUMBER_MAX_CHARS + 1, and NUMBER_SLACK. */
char *numbers_write(const float *values, size_t n, char *out);

#endif
