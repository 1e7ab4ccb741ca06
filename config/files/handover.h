/* The result of the load helper for the server: a safetensors file, which the server reads like any other. */
#ifndef CONFIG_FILES_HANDOVER_H
#define CONFIG_FILES_HANDOVER_H

#include "tensors.h"

/* One tensor of the result. Its reader knows where its data is. */
struct handover_tensor {
    char *name;
    const char *type; /* "F32", …: safetensors' names */
    size_t rank, shape[TENSOR_MAX_RANK], bytes;
    long long id;     /* an HDF5 dataset */
    const void *data; /* or a place in memory */
    void *owned;      /* allocated memory of the tensor, or NULL; owned */
};

struct handover {
    struct handover_tensor *tensors;
    size_t n, room, bytes;
    size_t limit; /* the most bytes of all tensors: a small file with very large tensors is refused */
    json_t *metadata;
    /* Writes the data of a tensor: tensor->bytes bytes. */
    bool (*read)(const struct handover_tensor *tensor, void *out);
    char error[400];
};

/* Set the error sentence, unless one is set already. Returns false. */
bool handover_fail(struct handover *handover, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Add a tensor whose elements have `width` bytes. Returns NULL with the error set if the tensor is too large. */
struct handover_tensor *handover_add(struct handover *handover, const char *name, const char *type, size_t width,
                                     size_t rank, const size_t *shape);

/* A string of the metadata; text need not end with NUL. */
bool handover_text(struct handover *handover, const char *key, const char *text, size_t bytes);

/* Write the safetensors file to an empty file that can be mapped. */
bool handover_write(struct handover *handover, int fd);

/* The end of a reader: write what was read if it is good. If jansson was out of memory, a value may be incomplete, and the
   sentence of the reader may blame the file: the result is then refused as out of memory. */
bool handover_end(struct handover *handover, bool good, int fd);

#endif
