/* What the load helper hands to the server: a safetensors file, which the server reads as it reads any other. */
#ifndef CONFIG_FILES_HANDOVER_H
#define CONFIG_FILES_HANDOVER_H

#include "tensors.h"

/* One tensor to hand over; where its data comes from is its reader's business. */
struct handover_tensor {
    char *name;
    const char *type; /* "F32", …: safetensors' names */
    size_t rank, shape[TENSOR_MAX_RANK], bytes;
    long long id;     /* an HDF5 dataset */
    const void *data; /* or memory */
    void *owned;      /* memory of its own, to be free()d; NULL: none */
};

struct handover {
    struct handover_tensor *tensors;
    size_t n, room, bytes;
    size_t limit; /* of bytes: a small file that holds large tensors is refused */
    json_t *metadata;
    /* Write the data of a tensor, tensor->bytes of them. */
    bool (*read)(const struct handover_tensor *tensor, void *out);
    char error[400];
};

/* Set the error sentence; the first one stays. Returns false. */
bool handover_fail(struct handover *handover, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A tensor whose elements are of `width` bytes. NULL when it is too large, with the error set. */
struct handover_tensor *handover_add(struct handover *handover, const char *name, const char *type, size_t width,
                                     size_t rank, const size_t *shape);

/* A string of the metadata; text need not end with NUL. */
bool handover_text(struct handover *handover, const char *key, const char *text, size_t bytes);

/* Write it all to an empty file that can be mapped. */
bool handover_write(struct handover *handover, int fd);

#endif
