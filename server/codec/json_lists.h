/* Functions that only the readers of tensors use (json_tensor.c, json_raw.c). */
#ifndef SERVER_CODEC_JSON_LISTS_H
#define SERVER_CODEC_JSON_LISTS_H

#include "json_reader.h"
#include "json_scan.h"

/* The open lists while a tensor is read: their indices in tensor->lists. */
struct open_lists {
    size_t at[TENSOR_MAX_DEPTH], depth;
    const char *prefix, *key;
    const struct body_key *type;
    bool wrapped; /* the current element of the outermost list is inside an object */
};

/* Set an error at the current value. Returns false. */
bool json_tensor_failure(struct json_reader *r, const struct json_tensor *tensor, const struct open_lists *open,
                         const char *code, const char *text, const char *found);

/* Count one more element of the innermost open list. It must have the same kind as the elements before. */
bool json_count_element(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open,
                        enum list_holds kind);
bool json_add_list(struct json_reader *r, struct json_tensor *tensor);
/* Add a number: a float32, or a double if the tensor is read raw. */
bool json_add_value(struct json_reader *r, struct json_tensor *tensor, double value);

/* Read an element of a raw tensor that is not a number: an object of features, a text, or null. *taken is true if it
   was one of these. */
bool json_raw_element(struct json_reader *r, struct json_tensor *tensor, const struct open_lists *open, bool *taken);

/* Whether the next object has the features of one timestep as keys, rather than the name of an input. */
bool json_raw_names_feature(struct json_reader *r, const struct json_tensor *tensor);

#endif
