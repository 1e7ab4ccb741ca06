/* The JSON reader: one pass over the text, an explicit stack, no recursion. A problem of meaning does not end the
   pass: the rest is still checked to be JSON, since only what is not JSON may be called invalid_json. */
#include "json_reader.h"

#include "config/problems.h"
#include "core/arena.h"
#include "number_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct reader {
    struct json_body *body;
    const char *at, *end;
    struct failure *failure; /* of meaning */
    const char *wrong;       /* where the text stops being JSON, or NULL */
    bool exhausted;          /* there was no memory to find that out */
    char prefix[64];         /* path of the object that is being read */
    char expected[96];
};

static bool syntax(struct reader *r, const char *at, const char *expected)
{
    if (!r->wrong) {
        r->wrong = at;
        snprintf(r->expected, sizeof r->expected, "%s", expected);
    }
    return false;
}

static void skip_space(struct reader *r)
{
    while (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t')
        r->at++;
}

/* ---- strings ---- */

size_t json_utf8_length(const unsigned char *p)
{
    static const struct {
        unsigned char first_low, first_high, second_low, second_high, length;
    } rows[] = {{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
                {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
                {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (p[0] < rows[i].first_low || p[0] > rows[i].first_high)
            continue;
        if (p[1] < rows[i].second_low || p[1] > rows[i].second_high)
            return 0;
        for (size_t k = 2; k < rows[i].length; k++)
            if (p[k] < 0x80 || p[k] > 0xbf)
                return 0;
        return rows[i].length;
    }
    return 0;
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

/* The text of a string being copied; what does not fit is dropped and remembered. */
struct copy {
    char *out;
    size_t used, size;
    bool cut;
};

static void copy_bytes(struct copy *copy, const char *bytes, size_t n)
{
    if (!copy)
        return;
    if (copy->used + n < copy->size)
        memcpy(copy->out + copy->used, bytes, n);
    else
        copy->cut = true;
    if (!copy->cut)
        copy->used += n;
}

/* The same for bytes of ASCII, of which as many are taken as fit. */
static void copy_ascii(struct copy *copy, const char *bytes, size_t n)
{
    if (!copy || copy->cut)
        return;
    size_t room = copy->size - 1 - copy->used;
    copy->cut = n > room;
    n = copy->cut ? room : n;
    memcpy(copy->out + copy->used, bytes, n);
    copy->used += n;
}

/* \u0041: a code point of the basic plane goes out as UTF-8 (a half of a surrogate pair as '?': names have none). */
static bool read_unicode(struct reader *r, struct copy *copy)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(r->at[i]);
        if (digit < 0)
            return syntax(r, r->at + i, "four hexadecimal digits after \\u");
        code = code << 4 | (unsigned)digit;
    }
    r->at += 4;
    char bytes[3];
    if (code < 0x80 && code) {
        bytes[0] = (char)code;
        copy_bytes(copy, bytes, 1);
    } else if (code && code < 0x800) {
        bytes[0] = (char)(0xc0 | code >> 6);
        bytes[1] = (char)(0x80 | (code & 63));
        copy_bytes(copy, bytes, 2);
    } else if (!code || (code >= 0xd800 && code < 0xe000)) {
        copy_bytes(copy, "?", 1);
    } else {
        bytes[0] = (char)(0xe0 | code >> 12);
        bytes[1] = (char)(0x80 | (code >> 6 & 63));
        bytes[2] = (char)(0x80 | (code & 63));
        copy_bytes(copy, bytes, 3);
    }
    return true;
}

static bool read_escape(struct reader *r, struct copy *copy)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *r->at;
    const char *found = c ? strchr(from, c) : NULL;
    if (c == 'u') {
        r->at++;
        return read_unicode(r, copy);
    }
    if (!found)
        return syntax(r, r->at, "one of \" \\ / b f n r t u after a backslash");
    copy_bytes(copy, &to[found - from], 1);
    r->at++;
    return true;
}

/* r->at is at the opening quote. copy may be NULL. */
static bool read_string(struct reader *r, struct copy *copy)
{
    const char *opening = r->at++;
    for (;;) {
        unsigned char c = (unsigned char)*r->at;
        if (c == '"') {
            r->at++;
            return true;
        }
        if (c == '\\') {
            r->at++;
            if (!read_escape(r, copy))
                return false;
        } else if (c < 0x20) {
            return r->at >= r->end ? syntax(r, opening, "a closing quote for the text that begins here")
                                   : syntax(r, r->at, "no control character within a text (write it as an escape)");
        } else if (c < 0x80) {
            const char *start = r->at;
            while ((signed char)*r->at >= 0x20 && *r->at != '"' && *r->at != '\\') /* those from 0x80 on are negative */
                r->at++;
            copy_ascii(copy, start, (size_t)(r->at - start));
        } else {
            size_t n = json_utf8_length((const unsigned char *)r->at);
            if (!n)
                return syntax(r, r->at, "valid UTF-8");
            copy_bytes(copy, r->at, n);
            r->at += n;
        }
    }
}

/* ---- scalars ---- */

static bool read_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(r->at, word, n))
        return false;
    r->at += n;
    return true;
}

/* NaN, Infinity and -Infinity are remembered as what makes this body no JSON. */
static bool read_nonfinite(struct reader *r, float *out)
{
    const char *start = r->at;
    if (start[*start == '-'] >= '0' && start[*start == '-'] <= '9')
        return false;
    if (read_word(r, "NaN"))
        *out = NAN;
    else if (read_word(r, "Infinity"))
        *out = INFINITY;
    else if (read_word(r, "-Infinity"))
        *out = -INFINITY;
    else
        return false;
    if (!r->body->nonfinite_at)
        r->body->nonfinite_at = start;
    return true;
}

static bool read_number(struct reader *r, float *out)
{
    const char *wrong, *end = number_read(r->at, r->end, out, &wrong);
    if (!end)
        return syntax(r, wrong, wrong == r->at ? "a value" : "a digit (numbers have no leading zero, '+' or bare '.')");
    r->at = end;
    return true;
}

/* true, false, null, a number or a string; with what = its kind for messages. */
static bool read_scalar(struct reader *r, const char **what)
{
    float ignored;
    *what = "a number";
    if (*r->at == '"') {
        *what = "a text";
        return read_string(r, NULL);
    }
    if (read_word(r, "true") || read_word(r, "false"))
        *what = "true or false";
    else if (read_word(r, "null"))
        *what = "null";
    else if (!read_nonfinite(r, &ignored))
        return read_number(r, &ignored);
    return true;
}

/* ---- any value, only checked ---- */

/* One bit a level: is it an object? Depth is bounded by the body; memory is an eighth of it at most. */
struct levels {
    unsigned char *bits;
    size_t depth, room;
};

static bool push_level(struct reader *r, struct levels *levels, bool object)
{
    if (levels->depth == levels->room * 8) {
        size_t room = levels->room ? levels->room * 2 : 64;
        unsigned char *grown = realloc(levels->bits, room);
        if (!grown) {
            r->exhausted = true;
            return false;
        }
        levels->bits = grown;
        levels->room = room;
    }
    unsigned char bit = (unsigned char)(1u << (levels->depth & 7)), *byte = &levels->bits[levels->depth >> 3];
    *byte = (unsigned char)(object ? *byte | bit : *byte & ~bit);
    levels->depth++;
    return true;
}

static bool read_key(struct reader *r, struct copy *copy)
{
    skip_space(r);
    if (*r->at != '"')
        return syntax(r, r->at, "a key in quotes");
    if (!read_string(r, copy))
        return false;
    skip_space(r);
    if (*r->at != ':')
        return syntax(r, r->at, "':' after a key");
    r->at++;
    return true;
}

static bool in_object(const struct levels *levels)
{
    size_t top = levels->depth - 1;
    return levels->bits[top >> 3] >> (top & 7) & 1;
}

/* After a value: closing brackets, then the comma before the next value (with its key), or the end. */
static bool end_value(struct reader *r, struct levels *levels)
{
    while (levels->depth) {
        bool object = in_object(levels);
        skip_space(r);
        if (*r->at == (object ? '}' : ']')) {
            r->at++;
            levels->depth--;
        } else if (*r->at == ',') {
            r->at++;
            return !object || read_key(r, NULL);
        } else {
            return syntax(r, r->at, object ? "',' or '}'" : "',' or ']'");
        }
    }
    return true;
}

static bool skip_levels(struct reader *r, struct levels *levels)
{
    const char *what;
    do {
        skip_space(r);
        bool object = *r->at == '{';
        if (object || *r->at == '[') {
            r->at++;
            if (!push_level(r, levels, object))
                return false;
            skip_space(r);
            if (*r->at != (object ? '}' : ']')) {
                if (object && !read_key(r, NULL))
                    return false;
                continue;
            }
        } else if (!read_scalar(r, &what)) {
            return false;
        }
        if (!end_value(r, levels))
            return false;
    } while (levels->depth);
    return true;
}

static bool skip_value(struct reader *r)
{
    struct levels levels = {0};
    bool good = skip_levels(r, &levels);
    free(levels.bits);
    return good;
}

/* ---- tensors ---- */

static bool grow(struct reader *r, void **block, size_t *room, size_t size)
{
    size_t more = *room ? *room * 2 : 256;
    void *grown = memory_realloc(r->body->share, *block, *room * size, more * size);
    if (!grown)
        return failure_overloaded(r->failure);
    *block = grown;
    *room = more;
    return true;
}

static bool add_value(struct reader *r, struct json_tensor *tensor, float value)
{
    if (tensor->n_values == tensor->values_room) {
        void *block = tensor->values;
        if (!grow(r, &block, &tensor->values_room, sizeof value))
            return false;
        tensor->values = block;
    }
    tensor->values[tensor->n_values++] = value;
    return true;
}

static bool add_list(struct reader *r, struct json_tensor *tensor)
{
    if (tensor->n_lists == tensor->lists_room) {
        void *block = tensor->lists;
        if (!grow(r, &block, &tensor->lists_room, sizeof *tensor->lists))
            return false;
        tensor->lists = block;
    }
    tensor->lists[tensor->n_lists++] = (struct json_list){0, LIST_EMPTY};
    return true;
}

void json_tensor_close(struct json_tensor *tensor, struct memory_share *share)
{
    free(tensor->values);
    free(tensor->lists);
    memory_give(share, tensor->values_room * sizeof *tensor->values + tensor->lists_room * sizeof *tensor->lists);
    *tensor = (struct json_tensor){0};
}

bool json_tensor_reserve(struct json_tensor *tensor, size_t n, struct memory_share *share)
{
    size_t bytes;
    tensor->values =
        rnn_size_mul(n ? n : 1, sizeof *tensor->values, &bytes) ? memory_realloc(share, NULL, 0, bytes) : NULL;
    tensor->values_room = tensor->values ? n ? n : 1 : 0;
    tensor->n_values = 0;
    return tensor->values != NULL;
}

bool json_tensor_reshape(struct json_tensor *tensor, const size_t *shape, size_t rank, struct memory_share *share)
{
    size_t n = 1, total = 1, bytes, at[TENSOR_MAX_DEPTH] = {0};
    for (size_t d = 0; d + 1 < rank; d++)
        if (!rnn_size_mul(n, shape[d], &n) || !rnn_size_add(total, n, &total))
            return false;
    struct json_list *lists = NULL;
    if (rank && rank <= TENSOR_MAX_DEPTH && rnn_size_mul(total, sizeof *lists, &bytes))
        lists = memory_realloc(share, tensor->lists, tensor->lists_room * sizeof *lists, bytes);
    if (!lists)
        return false;
    tensor->lists = lists;
    tensor->lists_room = tensor->n_lists = total;
    tensor->present = true;
    /* preorder: the depth of the next list is that of the innermost one that is not full */
    for (size_t i = 0, depth = 0; i < total; i++) {
        lists[i] = (struct json_list){(uint32_t)shape[depth], depth + 1 < rank ? LIST_OF_LISTS : LIST_OF_NUMBERS};
        if (depth + 1 < rank) {
            at[depth++] = 0;
            continue;
        }
        while (depth && ++at[depth - 1] == shape[depth - 1])
            depth--;
    }
    return true;
}

/* The lists that are open while a tensor is read: their places in tensor->lists. */
struct open_lists {
    size_t at[TENSOR_MAX_DEPTH], depth;
    const char *prefix, *key;
    const struct body_key *type;
    bool wrapped; /* the element of the outermost list that is being read stands in an object */
};

/* "/instances/0/3": the place of the value that is being read. */
static void tensor_path(const struct json_tensor *tensor, const struct open_lists *open, char *out, size_t size)
{
    size_t n = (size_t)snprintf(out, size, "%s/%s", open->prefix, open->key);
    for (size_t i = 0; i < open->depth && n < size; i++) /* all but the innermost have counted what is open */
        n += (size_t)snprintf(out + n, size - n, "/%u", tensor->lists[open->at[i]].length - (i + 1 < open->depth));
}

static bool tensor_failure(struct reader *r, const struct json_tensor *tensor, const struct open_lists *open,
                           const char *code, const char *text, const char *found)
{
    char path[160];
    tensor_path(tensor, open, path, sizeof path);
    return failure_set(r->failure, 400, code, path, text, found);
}

/* The list that holds the next element gets one more, of the same kind as those before. */
static bool count_element(struct reader *r, struct json_tensor *tensor, const struct open_lists *open,
                          enum list_holds kind)
{
    struct json_list *list = &tensor->lists[open->at[open->depth - 1]];
    if (list->holds != LIST_EMPTY && list->holds != kind)
        return tensor_failure(r, tensor, open, "wrong_shape", "Expected %s, like the elements before it.",
                              kind == LIST_OF_NUMBERS ? "a list" : "a number");
    list->holds = kind;
    list->length++;
    return true;
}

/* The numbers of a list from one on, up to what is no comma or no number: the loop in which bodies are read. False, and
   nothing is taken, when there is none. Whoever comes after this says what is wrong, or makes room. */
static bool read_numbers(struct reader *r, struct json_tensor *tensor, struct json_list *list)
{
    const char *next = r->at, *wrong;
    size_t before = tensor->n_values;
    while (tensor->n_values < tensor->values_room) {
        float value;
        next = number_read(next, r->end, &value, &wrong);
        if (!next || isinf(value))
            break;
        tensor->values[tensor->n_values++] = value;
        r->at = next;
        if (*next != ',')
            break;
        next += 1 + (next[1] == ' ');
    }
    size_t taken = tensor->n_values - before;
    list->length += (uint32_t)taken;
    return taken > 0;
}

static bool read_element(struct reader *r, struct json_tensor *tensor, const struct open_lists *open)
{
    struct json_list *list = &tensor->lists[open->at[open->depth - 1]];
    bool booleans = open->type->type == BODY_BOOLEANS;
    float value;
    const char *what;
    if (!booleans && list->holds != LIST_OF_LISTS && read_numbers(r, tensor, list)) {
        list->holds = LIST_OF_NUMBERS;
        return true;
    }
    if (open->type->type != BODY_NUMBERS && (*r->at == 't' || *r->at == 'f')) {
        tensor->booleans = true;
        value = *r->at == 't';
        if (!read_word(r, "true") && !read_word(r, "false"))
            return syntax(r, r->at, "true or false");
    } else if (*r->at != '-' && (*r->at < '0' || *r->at > '9') && *r->at != 'N' && *r->at != 'I') {
        what = "an object";
        return (*r->at == '{' || read_scalar(r, &what)) &&
               tensor_failure(r, tensor, open, "wrong_type",
                              booleans ? "Expected true, false, 1 or 0, found %s." : "Expected a number, found %s.",
                              what);
    } else if (!read_nonfinite(r, &value)) {
        if (!read_number(r, &value))
            return false;
        if (isinf(value))
            return tensor_failure(r, tensor, open, "number_out_of_range", "%s is beyond the range of float32.",
                                  "This number");
    }
    if (booleans && value != 0 && value != 1)
        return tensor_failure(r, tensor, open, "wrong_type", "Expected true, false, 1 or 0, found %s.", "a number");
    return count_element(r, tensor, open, LIST_OF_NUMBERS) && add_value(r, tensor, value);
}

/* Opens lists down to the first element that is none; the reader is at a '['. */
static bool open_list(struct reader *r, struct json_tensor *tensor, struct open_lists *open)
{
    if (open->depth == TENSOR_MAX_DEPTH)
        return tensor_failure(r, tensor, open, "wrong_shape", "Lists are nested deeper than any tensor%s.", "");
    if (open->depth && !count_element(r, tensor, open, LIST_OF_LISTS))
        return false;
    if (!add_list(r, tensor))
        return false;
    open->at[open->depth++] = tensor->n_lists - 1;
    r->at++;
    return true;
}

/* {"inputs": before a value, if it is there. */
static bool unwrap(struct reader *r, const struct json_tensor *tensor, const struct open_lists *open, bool *wrapped)
{
    char name[BODY_TEXT_BYTES];
    struct copy copy = {.out = name, .size = sizeof name};
    *wrapped = false;
    if (!tensor->unwrap || *r->at != '{')
        return true;
    r->at++;
    if (!read_key(r, &copy))
        return false;
    name[copy.used] = 0;
    if (copy.cut || strcmp(name, tensor->unwrap))
        return tensor_failure(r, tensor, open, "unknown_key", "Expected an object with the one key \"%s\".",
                              tensor->unwrap);
    skip_space(r);
    *wrapped = true;
    return true;
}

static bool end_wrapped(struct reader *r, const struct json_tensor *tensor, const struct open_lists *open)
{
    skip_space(r);
    if (*r->at == ',')
        return tensor_failure(r, tensor, open, "unknown_key", "Expected an object with the one key \"%s\".",
                              tensor->unwrap);
    if (*r->at != '}')
        return syntax(r, r->at, "'}'");
    r->at++;
    return true;
}

/* False on a syntax error, and on a problem of meaning, which leaves the reader within the value. */
static bool read_lists(struct reader *r, struct json_tensor *tensor, struct open_lists *open)
{
    do {
        skip_space(r);
        if (open->depth == 1 && !unwrap(r, tensor, open, &open->wrapped))
            return false;
        if (*r->at == '[') {
            if (!open_list(r, tensor, open))
                return false;
            skip_space(r);
            if (*r->at != ']')
                continue;
        } else if (!read_element(r, tensor, open)) {
            return false;
        }
        for (;;) {
            if (open->wrapped && open->depth == 1) {
                open->wrapped = false;
                if (!end_wrapped(r, tensor, open))
                    return false;
            }
            skip_space(r);
            if (*r->at == ']') {
                r->at++;
                if (--open->depth == 0)
                    return true;
            } else if (*r->at == ',') {
                r->at++;
                break;
            } else {
                return syntax(r, r->at, "',' or ']'");
            }
        }
    } while (open->depth);
    return true;
}

static bool read_tensor(struct reader *r, const struct body_key *key)
{
    struct json_tensor *tensor = key->target;
    struct open_lists open = {.prefix = r->prefix, .key = key->name, .type = key};
    const char *start = r->at, *what = "an object";
    bool wrapped;
    if (!unwrap(r, tensor, &open, &wrapped)) {
        r->at = start;
        return !r->wrong && !r->exhausted && skip_value(r);
    }
    if (*r->at != '[') {
        if (wrapped)
            r->at = start;
        if (*r->at == '{' ? !skip_value(r) : !read_scalar(r, &what))
            return false;
        if (strcmp(what, "null"))
            tensor_failure(r, tensor, &open, "wrong_type", "Expected a list, found %s.", what);
        return true;
    }
    tensor->present = true;
    if (read_lists(r, tensor, &open) && (!wrapped || end_wrapped(r, tensor, &open)))
        return true;
    r->at = start; /* a problem of meaning: the value is still checked to be JSON */
    return !r->wrong && !r->exhausted && skip_value(r);
}

/* ---- the object ---- */

static bool read_text(struct reader *r, const struct body_key *key, const char *path)
{
    const char *what;
    struct copy copy = {.out = key->target, .size = BODY_TEXT_BYTES};
    if (*r->at != '"') {
        if (*r->at == '[' || *r->at == '{')
            what = "a list or an object";
        if (*r->at == '[' || *r->at == '{' ? !skip_value(r) : !read_scalar(r, &what))
            return false;
        if (strcmp(what, "null"))
            failure_set(r->failure, 400, "wrong_type", path, "Expected a text, found %s.", what);
        return true;
    }
    if (!read_string(r, &copy))
        return false;
    copy.out[copy.used] = 0;
    if (copy.cut)
        failure_set(r->failure, 400, "wrong_type", path, "This text is longer than %d bytes.", BODY_TEXT_BYTES - 1);
    return true;
}

/* A whole number as text. */
static bool read_id(struct reader *r, const struct body_key *key, const char *path)
{
    const char *start = r->at;
    if (*start < '0' || *start > '9')
        return read_text(r, key, path);
    if (!skip_value(r))
        return false;
    size_t digits = strspn(start, "0123456789");
    if (start + digits == r->at && digits <= 20)
        snprintf(key->target, BODY_TEXT_BYTES, "%.*s", (int)digits, start);
    else
        failure_set(r->failure, 400, "wrong_type", path, "Expected a text or a whole number of at least 0.");
    return true;
}

static bool read_bool(struct reader *r, const struct body_key *key, const char *path)
{
    int *target = key->target;
    if (read_word(r, "true"))
        *target = 1;
    else if (read_word(r, "false"))
        *target = 0;
    else if (!read_word(r, "null")) {
        failure_set(r->failure, 400, "wrong_type", path, "Expected true or false.");
        return skip_value(r);
    }
    return true;
}

static bool read_count(struct reader *r, const struct body_key *key, const char *path)
{
    int64_t *target = key->target, value = 0;
    const char *start = r->at, *p = start;
    for (; *p >= '0' && *p <= '9' && value < INT64_C(1) << 50; p++)
        value = value * 10 + (*p - '0');
    if (!skip_value(r))
        return false;
    if (p > start && p == r->at)
        *target = value;
    else if (r->at - start != 4 || strncmp(start, "null", 4))
        failure_set(r->failure, 400, "wrong_type", path, "Expected a whole number of at least 0.");
    return true;
}

static bool read_one_number(struct reader *r, const struct body_key *key, const char *path)
{
    const char *start = r->at;
    if (!skip_value(r))
        return false;
    if (*start >= '0' && *start <= '9') /* JSON, as has been seen */
        *(double *)key->target = strtod(start, NULL);
    else if (r->at - start != 4 || strncmp(start, "null", 4))
        failure_set(r->failure, 400, "wrong_type", path, "Expected a number of at least 0.");
    return true;
}

static bool read_counts(struct reader *r, const struct body_key *key, const char *path)
{
    struct body_counts *counts = key->target;
    const char *start = r->at;
    bool good = *r->at == '[';
    if (!skip_value(r))
        return false;
    counts->present = true;
    for (const char *p = start + 1; good && p < r->at;) { /* what has been skipped is JSON */
        size_t value = 0;
        p += strspn(p, " \n\r\t,");
        if (*p == ']')
            break;
        size_t digits = strspn(p, "0123456789");
        good = digits && digits < 16 && counts->n < BODY_MAX_COUNTS && strchr(" \n\r\t,]", p[digits]);
        for (size_t i = 0; good && i < digits; i++)
            value = value * 10 + (size_t)(p[i] - '0');
        if (good)
            counts->values[counts->n++] = value;
        p += digits;
    }
    if (!good)
        failure_set(r->failure, 400, "wrong_type", path, "Expected a list of at most %d whole numbers of at least 0.",
                    BODY_MAX_COUNTS);
    return true;
}

static bool read_object(struct reader *r, const struct body_key *keys);

/* An object at a path below the present one. */
static bool read_deeper(struct reader *r, const struct body_key *keys, const char *path)
{
    char before[sizeof r->prefix];
    memcpy(before, r->prefix, sizeof before);
    snprintf(r->prefix, sizeof r->prefix, "%.*s", (int)sizeof before - 1, path);
    bool good = read_object(r, keys);
    memcpy(r->prefix, before, sizeof before);
    return good;
}

static bool read_list(struct reader *r, const struct body_key *key, const char *path)
{
    struct body_list *list = key->target;
    if (*r->at != '[') {
        bool null = !strncmp(r->at, "null", 4);
        if (!null)
            failure_set(r->failure, 400, "wrong_type", path, "Expected a list of objects.");
        return skip_value(r);
    }
    r->at++;
    skip_space(r);
    if (*r->at == ']') {
        r->at++;
        return true;
    }
    for (size_t i = 0;; i++) {
        char deeper[100];
        snprintf(deeper, sizeof deeper, "%.70s/%zu", path, i);
        skip_space(r);
        const struct body_key *keys = *r->at == '{' ? list->element(list->context, i, r->failure) : NULL;
        if (*r->at != '{')
            failure_set(r->failure, 400, "wrong_type", deeper, "Expected an object.");
        if (keys ? !read_deeper(r, keys, deeper) : !skip_value(r))
            return false;
        skip_space(r);
        if (*r->at == ']') {
            r->at++;
            return true;
        }
        if (*r->at != ',')
            return syntax(r, r->at, "',' or ']'");
        r->at++;
    }
}

/* "/prefix/name" into PATH_BYTES: of every key of every body, so by bytes alone. */
enum { PATH_BYTES = 160 };
static void path_of_key(const struct reader *r, const char *name, char *path)
{
    size_t before = strlen(r->prefix), n = strnlen(name, PATH_BYTES - sizeof r->prefix - 2);
    memcpy(path, r->prefix, before);
    path[before] = '/';
    memcpy(path + before + 1, name, n);
    path[before + 1 + n] = 0;
}

static bool read_value(struct reader *r, const struct body_key *key)
{
    char path[PATH_BYTES];
    path_of_key(r, key->name, path);
    skip_space(r);
    switch (key->type) {
    case BODY_TEXT:
        return read_text(r, key, path);
    case BODY_ID:
        return read_id(r, key, path);
    case BODY_BOOL:
        return read_bool(r, key, path);
    case BODY_COUNT:
        return read_count(r, key, path);
    case BODY_NUMBER:
        return read_one_number(r, key, path);
    case BODY_NUMBERS:
    case BODY_BOOLEANS:
    case BODY_VALUES:
        return read_tensor(r, key);
    case BODY_COUNTS:
        return read_counts(r, key, path);
    case BODY_OBJECT:
        if (*r->at == '{')
            return read_deeper(r, key->target, path);
        if (strncmp(r->at, "null", 4))
            failure_set(r->failure, 400, "wrong_type", path, "Expected an object.");
        return skip_value(r);
    case BODY_LIST:
        return read_list(r, key, path);
    case BODY_ANY:
        return skip_value(r);
    }
    return false;
}

static void unknown_key(struct reader *r, const struct body_key *keys, const char *name)
{
    const char *names[16];
    char path[PATH_BYTES], hint[100];
    size_t n = 0;
    for (; n < 15 && keys[n].name; n++)
        names[n] = keys[n].name;
    names[n] = NULL;
    path_of_key(r, name, path);
    nearest_hint(name, names, hint, sizeof hint);
    failure_set(r->failure, 400, "unknown_key", path, "Unknown key%s%s", hint, *hint ? "" : ".");
}

static bool read_member(struct reader *r, const struct body_key *keys, uint64_t *seen)
{
    char name[BODY_TEXT_BYTES], path[PATH_BYTES];
    struct copy copy = {.out = name, .size = sizeof name};
    if (!read_key(r, &copy))
        return false;
    name[copy.used] = 0;
    size_t i = 0;
    while (keys[i].name && strcmp(keys[i].name, "*") && (copy.cut || strcmp(keys[i].name, name)))
        i++;
    if (!keys[i].name) {
        unknown_key(r, keys, name);
        return skip_value(r);
    }
    if (!strcmp(keys[i].name, "*"))
        return skip_value(r);
    if (*seen >> i & 1) {
        path_of_key(r, name, path);
        failure_set(r->failure, 400, "duplicate_key", path, "This key stands in the body twice.");
        return skip_value(r);
    }
    *seen |= UINT64_C(1) << i;
    return read_value(r, &keys[i]);
}

static bool read_object(struct reader *r, const struct body_key *keys)
{
    uint64_t seen = 0;
    skip_space(r);
    if (*r->at != '{') {
        failure_set(r->failure, 400, "wrong_type", "", "The body must be a JSON object.");
        return skip_value(r);
    }
    r->at++;
    skip_space(r);
    if (*r->at == '}') {
        r->at++;
        return true;
    }
    for (;;) {
        if (!read_member(r, keys, &seen))
            return false;
        skip_space(r);
        if (*r->at == '}') {
            r->at++;
            return true;
        }
        if (*r->at != ',')
            return syntax(r, r->at, "',' or '}'");
        r->at++;
    }
}

/* "line 3, column 17: expected …": columns count bytes from 1. */
static void describe(const char *text, const char *at, const char *end, const char *expected, struct failure *out)
{
    size_t line = 1;
    const char *start = text;
    for (const char *p = text; p < at; p++)
        if (*p == '\n') {
            line++;
            start = p + 1;
        }
    char found[24] = "the end of the body";
    if (at<end && * at> ' ' && *at < 0x7f)
        snprintf(found, sizeof found, "'%c'", *at);
    else if (at < end)
        snprintf(found, sizeof found, "the byte 0x%02x", (unsigned char)*at);
    *out = (struct failure){0};
    failure_set(out, 400, "invalid_json", "", "The body is not JSON: line %zu, column %zu: expected %s, found %s.",
                line, (size_t)(at - start) + 1, expected, found);
}

bool json_body_read(struct json_body *body, const struct body_key *keys, struct failure *failure)
{
    struct reader r = {.body = body, .at = body->text, .end = body->text + body->bytes, .failure = failure};
    body->nonfinite = (struct failure){0};
    body->nonfinite_at = NULL;
    bool good = read_object(&r, keys);
    if (good) {
        skip_space(&r);
        if (r.at != r.end)
            good = syntax(&r, r.at, "nothing after the JSON value");
    }
    if (body->nonfinite_at)
        describe(body->text, body->nonfinite_at, r.end, "a value (NaN and Infinity are not JSON)", &body->nonfinite);
    if (!good && r.wrong)
        describe(body->text, r.wrong, r.end, r.expected, failure);
    else if (!good && r.exhausted) {
        *failure = (struct failure){.status = 0}; /* of a text that may be no JSON nothing else can be said */
        failure_overloaded(failure);
    }
    return !failure->status;
}
