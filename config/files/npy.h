/* NumPy's .npy files. Source: NEP 1, "A simple file format for NumPy arrays". */
#ifndef CONFIG_FILES_NPY_H
#define CONFIG_FILES_NPY_H

#include "tensors.h"

/* An array in a file's bytes. tensor.type_name is static here, and there is no name. */
struct npy_array {
    struct named_tensor tensor;
    size_t width; /* bytes of an element */
    bool fortran; /* column-major */
};

/* Whether these bytes begin a .npy file. */
bool npy_is(const unsigned char *bytes, size_t n);

/* Read a file's header. Returns NULL, or the error. */
const char *npy_read(const unsigned char *bytes, size_t n, struct npy_array *array);

/* Copy a column-major array into row-major order. */
void npy_to_row_major(const struct npy_array *array, unsigned char *out);

#endif
