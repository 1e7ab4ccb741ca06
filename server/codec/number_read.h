/* Decimal text to float32 and to double, correctly rounded. */
#ifndef SERVER_CODEC_NUMBER_READ_H
#define SERVER_CODEC_NUMBER_READ_H

#include <stdbool.h>

/**
 * Read one number of RFC 8259's grammar.
 *
 * text  ends with a byte that cannot continue a number (the reader's bodies end with NUL), at `end`.
 * Returns the end of the number, or NULL when text does not begin with one; *wrong is then the byte that breaks
 * the grammar. *out is the nearest float32, ties to even; infinite if the number is beyond float32.
 */
const char *number_read(const char *text, const char *end, float *out, const char **wrong);

/* The same for the nearest double. */
const char *number_read_double(const char *text, const char *end, double *out, const char **wrong);

#endif
