/* Named weight tensors: the result of every reader of a file format. */
#ifndef CONFIG_FILES_TENSORS_H
#define CONFIG_FILES_TENSORS_H

#include "config/problems.h"

#include <jansson.h>
#include <stdint.h>

enum { TENSOR_MAX_RANK = 8 };

/* Weights are floats. Whole numbers are for arrays of inputs. */
enum tensor_type {
    TENSOR_F32,
    TENSOR_F64,
    TENSOR_F16,
    TENSOR_BF16,
    TENSOR_I32,
    TENSOR_I64,
    TENSOR_U8,
    TENSOR_OTHER,
};

/* One tensor. The set owns name and type_name; data is in the set's file. */
struct named_tensor {
    char *name, *type_name;
    enum tensor_type type;
    size_t rank, shape[TENSOR_MAX_RANK], elements;
    const unsigned char *data; /* little-endian, row-major, any alignment */
    bool used;
};

struct tensor_set {
    struct named_tensor *tensors; /* in the order of their data */
    size_t n;
    json_t *metadata; /* the file's "__metadata__", an object of strings; NULL without one */
    void *file;       /* the mapped file */
    size_t file_bytes;
    void *memory; /* data that is not mapped; owned */
};

/* Read a .safetensors file (https://github.com/huggingface/safetensors, format section). False with problems added. */
bool safetensors_open(struct tensor_set *set, const char *path, struct problems *problems);
/* The same from an open file, which the caller closes; path is for messages. The file is read, not mapped: if another
   program truncates a mapped file, this process would end with SIGBUS. */
bool safetensors_read(struct tensor_set *set, int fd, const char *path, struct problems *problems);
/* The same from a file that cannot change any more (a sealed memory file). The file is mapped. */
bool safetensors_map(struct tensor_set *set, int fd, const char *path, struct problems *problems);
/* The same from memory of the caller, which must outlive the set. */
bool safetensors_parse(struct tensor_set *set, const unsigned char *bytes, size_t n, const char *path,
                       struct problems *problems);
void tensor_set_close(struct tensor_set *set);

/* The tensor with this name, or NULL. */
struct named_tensor *tensor_set_find(const struct tensor_set *set, const char *name);

/* A string of the metadata, or NULL. */
const char *tensor_set_text(const struct tensor_set *set, const char *key);

/* Whether the elements are floating-point numbers. */
bool tensor_is_float(const struct named_tensor *tensor);

/* One element of any type except TENSOR_OTHER. */
double tensor_element(const struct named_tensor *tensor, size_t i);

/* Convert all elements to float32 (rounding to nearest even). Needs tensor_is_float. */
void tensor_to_floats(const struct named_tensor *tensor, float *out);

/* The number of elements that are not finite as float32, and the index of the first. Needs tensor_is_float. */
size_t tensor_nonfinite(const struct named_tensor *tensor, size_t *first);

/* The elements in place, if they are aligned float32 in the byte order of this machine; otherwise NULL. */
const float *tensor_floats_in_place(const struct named_tensor *tensor);

/* "[32, 128]" */
void shape_text(const size_t *shape, size_t rank, char *out, size_t size);

#endif
