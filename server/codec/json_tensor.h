/* Tensors of request bodies, of any rank and possibly ragged. */
#ifndef SERVER_CODEC_JSON_TENSOR_H
#define SERVER_CODEC_JSON_TENSOR_H

#include "server/base/memory.h"

#include <stdint.h>

/* Deepest nesting of a tensor: states of stacks nested STACK_MAX_DEPTH deep, and some to spare. */
enum { TENSOR_MAX_DEPTH = 20 };

enum list_holds { LIST_EMPTY, LIST_OF_NUMBERS, LIST_OF_LISTS };

/* One JSON list within a tensor. */
struct json_list {
    uint32_t length;
    uint32_t holds;
};

/**
 * A tensor of the body, with any rank and possibly ragged: all numbers in order, and all lists in preorder (the
 * outermost first). values and lists are held by the request's share of memory.
 */
struct json_tensor {
    float *values;
    size_t n_values, values_room;
    struct json_list *lists;
    size_t n_lists, lists_room;
    const struct raw_reading *raw; /* set by the caller: numbers are raw (raw_values.h) and stand in raw_values */
    double *raw_values;            /* [values_room] in place of values, until raw_to_values */
    bool present;
    bool missing;     /* some raw values are */
    bool booleans;    /* some values were written true or false */
    bool skipped;     /* set by the caller: the value is passed over, but for its place (which may be set, too, where
                         the value is known to be JSON): */
    const char *text; /* where it stands in the body, */
    size_t bytes;     /* and how long it is */
    const char
        *unwrap; /* set by the caller: {"name": …} may stand for its value, around the whole or each element of it */
};

/* Make a tensor's lists those of a full array of this shape (sizes of at least 1, rank at least 1), whatever they were.
   False when out of memory. */
bool json_tensor_reshape(struct json_tensor *tensor, const size_t *shape, size_t rank, struct memory_share *share);

/* Make an empty tensor with room for n values. Returns false if out of memory. */
bool json_tensor_reserve(struct json_tensor *tensor, size_t n, struct memory_share *share);

void json_tensor_close(struct json_tensor *tensor, struct memory_share *share);

/* The same before it is read once more: unwrap and raw stay. */
void json_tensor_forget(struct json_tensor *tensor, struct memory_share *share);

/* The value of a key that holds a tensor (a part of the reader: json_reader.c calls this at the value's first byte). False
   where the text is no JSON. */
struct json_reader;
struct body_key;
bool json_read_tensor(struct json_reader *r, const struct body_key *key);

/* The same of a value that becomes the next row of a tensor. */
bool json_read_row(struct json_reader *r, const struct body_key *key);

#endif
