/* Named weight tensors, whatever file they come from. A new format is one reader with this result. */
#ifndef CONFIG_TENSORS_H
#define CONFIG_TENSORS_H

#include "problems.h"

#include <stdint.h>

enum { TENSOR_MAX_RANK = 8 };

enum tensor_type { TENSOR_F32, TENSOR_F64, TENSOR_F16, TENSOR_BF16, TENSOR_OTHER };

/* One tensor; name and type_name are owned by the set, data lies in its file. */
struct named_tensor {
    char *name, *type_name;
    enum tensor_type type;
    size_t rank, shape[TENSOR_MAX_RANK], elements;
    const unsigned char *data; /* little-endian, row-major, any alignment */
    bool used;
};

struct tensor_set {
    struct named_tensor *tensors;
    size_t n;
    void *file; /* the mapped file */
    size_t file_bytes;
};

/* Read a .safetensors file (https://github.com/huggingface/safetensors, format section). False with problems added. */
bool safetensors_open(struct tensor_set *set, const char *path, struct problems *problems);
void tensor_set_close(struct tensor_set *set);

/* The tensor of a name, or NULL. */
struct named_tensor *tensor_set_find(const struct tensor_set *set, const char *name);

/* Convert all elements to float32 (rounding to nearest even). The type is not TENSOR_OTHER. */
void tensor_to_floats(const struct named_tensor *tensor, float *out);

/* "[32, 128]" */
void shape_text(const size_t *shape, size_t rank, char *out, size_t size);

#endif
