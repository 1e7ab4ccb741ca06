/* Functions that only the readers of tensors use (json_tensor.c, json_raw.c). */
#ifndef SERVER_CODEC_JSON_LISTS_H
#define SERVER_CODEC_JSON_LISTS_H

#include "json_reader.h"
#include "json_scan.h"

/* The lists that are open while a tensor is read: their places in tensor->lists. */
struct open_lists {
    size_t at[TENSOR_MAX_DEPTH], depth;
    const char *prefix, *key;
    const struct body_key *type;
    bool wrapped; /* the element of the outermost list that is being read stands in an object */
};

/* An error at the value that is being read. Returns false. */
bool json_tensor_failure(struct json_reader *r, const struct json_tensor *tensor, const struct open_lists *open,
                         const char *code, const char *text, const char *found);

/* The list that holds the next element gets one more, of the same kind as those before. */
bool json_count_element(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open,
                        enum list_holds kind);
bool json_add_list(struct json_reader *r, struct json_tensor *tensor);
/* A number; float32 unless the tensor is read raw. */
bool json_add_value(struct json_reader *r, struct json_tensor *tensor, double value);

/* An element of a tensor that is read raw, where it is none of the numbers: an object of features by name, a text of
   words, null. *taken: it was one. */
bool json_raw_element(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open, bool *taken);

/* Whether the object at the reader is one timestep's features by name, so that it is not the name of an input. */
bool json_raw_names_feature(struct json_reader *r, const struct json_tensor *tensor);

#endif
