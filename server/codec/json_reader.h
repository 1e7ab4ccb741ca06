/* A reader of request bodies in one pass: strict RFC 8259; arrays of numbers are converted directly to float32. */
#ifndef SERVER_CODEC_JSON_READER_H
#define SERVER_CODEC_JSON_READER_H

#include "json_tensor.h"
#include "server/base/failure.h"

enum body_key_type {
    BODY_TEXT,        /* char[BODY_TEXT_BYTES] */
    BODY_ID,          /* the same for a text, or for a whole number of at least 0 */
    BODY_BOOL,        /* int: becomes 0 or 1 */
    BODY_COUNT,       /* int64_t: a whole number of at least 0 */
    BODY_NUMBER,      /* double: a number of at least 0 */
    BODY_NUMBERS,     /* struct json_tensor */
    BODY_INPUTS,      /* the same; the values may be raw */
    BODY_BOOLEANS,    /* struct json_tensor of true, false, 1 and 0 */
    BODY_NUMBER_ROW,  /* struct json_tensor: the value becomes its next row */
    BODY_BOOLEAN_ROW, /* the same of true, false, 1 and 0 */
    BODY_VALUES,      /* struct json_tensor of numbers, true (1) and false (0) */
    BODY_COUNTS,      /* struct body_counts: a list of whole numbers of at least 0 */
    BODY_OBJECT,      /* an object; its keys are `target`, a const struct body_key * */
    BODY_LIST,        /* struct body_list: a list of objects */
    BODY_SPAN,        /* struct body_span: any value, to be read later */
    BODY_ANY,         /* any value; ignored */
};

enum { BODY_TEXT_BYTES = 256, BODY_MAX_COUNTS = 8 };

struct body_counts {
    size_t values[BODY_MAX_COUNTS], n;
    bool present;
};

/* The position of a value in the body; text is NULL if the value is missing. */
struct body_span {
    const char *text;
    size_t bytes;
};

/* `element` returns the keys of the i-th object of a list; NULL refuses the object. */
struct body_list {
    const struct body_key *(*element)(void *context, size_t i, struct failure *failure);
    void *context;
};

/* A key that a body may have. The name "*" stands for all keys that are not earlier in the list. */
struct body_key {
    const char *name;
    enum body_key_type type;
    void *target;
};

/* Whether the target is a whole tensor of the body. */
static inline bool body_key_has_tensor(const struct body_key *key)
{
    return key->type == BODY_INPUTS || key->type == BODY_NUMBERS || key->type == BODY_BOOLEANS;
}

struct json_body {
    const char *text; /* followed by a NUL byte */
    size_t bytes;
    struct memory_share *share;
    /* Set if the body has NaN, Infinity or -Infinity, which JSON cannot represent. The caller decides whether to accept
       the body. */
    struct failure nonfinite;
    const char *nonfinite_at;
};

/**
 * Read a body that is an object with the given keys (the list ends with a NULL name).
 *
 * null counts as a missing key. Returns true, or false with *failure set. The code is invalid_json, with line and
 * column, if and only if the body is not JSON. Otherwise it is the first problem in the order of the body, with its
 * path. Only the tensors are allocated.
 */
bool json_body_read(struct json_body *body, const struct body_key *keys, struct failure *failure);

/* The same for an object within a body that has been read as a BODY_SPAN before, at `path` (below 64 bytes). */
bool json_body_read_part(struct json_body *part, const char *path, const struct body_key *keys,
                         struct failure *failure);

/* The same for one value of such a part, at path. */
bool json_value_read(struct json_body *body, const struct body_key *key, const char *path, struct failure *failure);

/* The length of the multi-byte UTF-8 sequence at p; 0 if it is invalid (overlong, a surrogate, beyond U+10FFFF, cut
   short). p ends with a NUL byte, which cannot continue a sequence. */
size_t json_utf8_length(const unsigned char *p);

#endif
