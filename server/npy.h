/* NumPy's .npy files: arrays of float16, float32 or float64, as JSON lists. */
#ifndef SERVER_NPY_H
#define SERVER_NPY_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

/* Whether these bytes begin a .npy file. */
bool npy_is(const char *bytes, size_t n);

/* The array as nested lists (a new reference), or NULL with a sentence in *wrong.
   Source: NEP 1, "A simple file format for NumPy arrays". */
json_t *npy_to_json(const char *bytes, size_t n, const char **wrong);

#endif
