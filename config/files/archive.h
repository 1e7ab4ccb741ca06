/* Model files in HDF5 and zip containers (.h5, .keras, .npz), read by a confined helper process. */
#ifndef CONFIG_FILES_ARCHIVE_H
#define CONFIG_FILES_ARCHIVE_H

#include "tensor_bundle.h"

/* Whether these first bytes of a file (8 are enough) begin such a container. */
bool archive_is(const unsigned char *bytes, size_t n);

/**
 * Read the tensors and texts of a container.
 *
 * fd    of the file, at its beginning; stays the caller's. path is for messages.
 *
 * The helper writes its result into a sealed memory file, which is checked like any untrusted safetensors file. The
 * set's metadata has "naming" ("group", "position" or "names"), and "config" and "keras_version" where the file has
 * them. Returns false with a problem added if the helper refused the file, crashed, or took longer than 30 s.
 */
bool archive_open(struct tensor_set *set, int fd, const char *path, struct problems *problems);

/* The same for the file of a scaler: an .npz archive, a pickle or a joblib file. The scaler's attributes become the
   text "scaler". */
bool archive_open_scaler(struct tensor_set *set, int fd, const char *path, struct problems *problems);

/**
 * Read a TensorFlow checkpoint in the same way.
 *
 * files  the index, the metadata (any file where there are none), and the shards in their order.
 *
 * "naming" becomes "object".
 */
bool archive_open_bundle(struct tensor_set *set, enum bundle_metadata kind, const int *files, size_t n,
                         const char *path, struct problems *problems);

/* The program to run as helper: /proc/self/exe, unless a test sets another. */
void archive_set_program(const char *path);

#endif
