/* Functions that only the parts of the JSON reader use (json_reader.c, json_tensor.c, json_scan.c): the position in the
   text, and small pieces of JSON. A function that returns false because the text is not JSON has called
   json_syntax_error. */
#ifndef SERVER_CODEC_JSON_SCAN_H
#define SERVER_CODEC_JSON_SCAN_H

#include "server/base/failure.h"

#include <stddef.h>
#include <string.h>

struct json_body;

struct json_reader {
    struct json_body *body;
    const char *at, *end;
    struct failure *failure; /* an error other than invalid JSON */
    const char *wrong;       /* where the text stops being JSON, or NULL */
    bool exhausted;          /* out of memory during the check */
    char prefix[64];         /* the path of the current object */
    char expected[96];
};

/* The copy of a string. Bytes that do not fit are dropped, and this is recorded. */
struct json_copy {
    char *out;
    size_t used, size;
    bool cut;
};

/* Note that the text is not JSON from `at` on. The first such place is kept. Returns false. */
bool json_syntax_error(struct json_reader *r, const char *at, const char *expected);

static inline void json_skip_space(struct json_reader *r)
{
    while (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')
        r->at++;
}

/* Skip this word if it comes next. Returns whether it did. */
static inline bool json_read_word(struct json_reader *r, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(r->at, word, n))
        return false;
    r->at += n;
    return true;
}

/* Read a text, from its opening quote on. copy may be NULL. */
bool json_read_string(struct json_reader *r, struct json_copy *copy);
/* Read a key and the colon after it. */
bool json_read_key(struct json_reader *r, struct json_copy *copy);
/* Read NaN, Infinity or -Infinity if one of them comes next. It is recorded, because such a body is not JSON. */
bool json_read_nonfinite(struct json_reader *r, float *out);
bool json_read_number(struct json_reader *r, float *out);
bool json_read_double(struct json_reader *r, double *out);
/* Skip true, false, null, a number or a string; *what is its kind, for messages. */
bool json_read_scalar(struct json_reader *r, const char **what);
/* Check any value. Also returns false if out of memory; then r->exhausted is set. */
bool json_skip_value(struct json_reader *r);

#endif
