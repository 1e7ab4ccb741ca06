/* Tensors of request bodies, of any rank and possibly ragged. */
#ifndef SERVER_CODEC_JSON_TENSOR_H
#define SERVER_CODEC_JSON_TENSOR_H

#include "server/base/memory.h"

#include <stdint.h>

/* The deepest nesting of a tensor: states of stacks nested STACK_MAX_DEPTH deep, and a reserve. */
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
    const struct raw_reading *raw; /* set by the caller: the numbers are raw (raw_values.h) and go to raw_values */
    double *raw_values;            /* [values_room], instead of values, until raw_to_values */
    bool present;
    bool missing;     /* some raw values are missing */
    bool booleans;    /* some values were written as true or false */
    bool skipped;     /* set by the caller: the value is skipped, and only its position is recorded (the position may be
                         set in advance, if the value is known to be JSON): */
    const char *text; /* the beginning in the body, */
    size_t bytes;     /* and the length */
    const char
        *unwrap; /* set by the caller: an object {"name": …} may be around the whole tensor or around each element */
};

/* Replace a tensor's lists by those of a full array of this shape (sizes of at least 1, rank at least 1). Returns false
   if out of memory. */
bool json_tensor_reshape(struct json_tensor *tensor, const size_t *shape, size_t rank, struct memory_share *share);

/* Make an empty tensor with room for n values. Returns false if out of memory. */
bool json_tensor_reserve(struct json_tensor *tensor, size_t n, struct memory_share *share);

void json_tensor_close(struct json_tensor *tensor, struct memory_share *share);

/* Empty a tensor before it is read again: unwrap and raw stay. */
void json_tensor_forget(struct json_tensor *tensor, struct memory_share *share);

/* Read the value of a key that has a tensor. json_reader.c calls it at the value's first byte. Returns false if the
   text is not JSON. */
struct json_reader;
struct body_key;
bool json_read_tensor(struct json_reader *r, const struct body_key *key);

/* The same for a value that becomes the next row of a tensor. */
bool json_read_row(struct json_reader *r, const struct body_key *key);

#endif
