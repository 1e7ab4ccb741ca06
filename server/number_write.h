/* Shortest decimal text of a float32. */
#ifndef SERVER_NUMBER_WRITE_H
#define SERVER_NUMBER_WRITE_H

#include <stddef.h>

enum { NUMBER_MAX_CHARS = 16 }; /* "-1.1754944e-38" and a byte to spare */

/* Write the shortest decimal that reads back to the same float32; of several, the nearest. Whole numbers get ".0";
   NaN, Infinity and -Infinity are written so. No terminator. Returns the end. */
char *number_write(float value, char *out);

#endif
