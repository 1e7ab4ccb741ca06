/* Reads texts, numbers and words, and checks values of any kind. */
#include "json_scan.h"

#include "json_reader.h"
#include "number_read.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

bool json_syntax_error(struct json_reader *r, const char *at, const char *expected)
{
    if (!r->wrong) {
        r->wrong = at;
        snprintf(r->expected, sizeof r->expected, "%s", expected);
    }
    return false;
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

static void copy_bytes(struct json_copy *copy, const char *bytes, size_t n)
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

/* The same for ASCII bytes; as many are copied as fit. */
static void copy_ascii(struct json_copy *copy, const char *bytes, size_t n)
{
    if (!copy || copy->cut)
        return;
    size_t room = copy->size - 1 - copy->used;
    copy->cut = n > room;
    n = copy->cut ? room : n;
    memcpy(copy->out + copy->used, bytes, n);
    copy->used += n;
}

/* \u0041: a code point of the basic plane becomes UTF-8. A half of a surrogate pair becomes '?', because names have
   none. */
static bool read_unicode(struct json_reader *r, struct json_copy *copy)
{
    unsigned code = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(r->at[i]);
        if (digit < 0)
            return json_syntax_error(r, r->at + i, "four hexadecimal digits after \\u");
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

static bool read_escape(struct json_reader *r, struct json_copy *copy)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *r->at;
    const char *found = c ? strchr(from, c) : NULL;
    if (c == 'u') {
        r->at++;
        return read_unicode(r, copy);
    }
    if (!found)
        return json_syntax_error(r, r->at, "one of \" \\ / b f n r t u after a backslash");
    copy_bytes(copy, &to[found - from], 1);
    r->at++;
    return true;
}

bool json_read_string(struct json_reader *r, struct json_copy *copy)
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
            return r->at >= r->end
                       ? json_syntax_error(r, opening, "a closing quote for the text that begins here")
                       : json_syntax_error(r, r->at, "no control character within a text (write it as an escape)");
        } else if (c < 0x80) {
            const char *start = r->at;
            while ((signed char)*r->at >= 0x20 && *r->at != '"' && *r->at != '\\') /* bytes from 0x80 on are negative */
                r->at++;
            copy_ascii(copy, start, (size_t)(r->at - start));
        } else {
            size_t n = json_utf8_length((const unsigned char *)r->at);
            if (!n)
                return json_syntax_error(r, r->at, "valid UTF-8");
            copy_bytes(copy, r->at, n);
            r->at += n;
        }
    }
}

/* ---- scalars ---- */

bool json_read_nonfinite(struct json_reader *r, float *out)
{
    const char *start = r->at;
    if (start[*start == '-'] >= '0' && start[*start == '-'] <= '9')
        return false;
    if (json_read_word(r, "NaN"))
        *out = NAN;
    else if (json_read_word(r, "Infinity"))
        *out = INFINITY;
    else if (json_read_word(r, "-Infinity"))
        *out = -INFINITY;
    else
        return false;
    if (!r->body->nonfinite_at)
        r->body->nonfinite_at = start;
    return true;
}

/* The end of a number that has been read, or NULL if there is no number. */
static bool end_number(struct json_reader *r, const char *end, const char *wrong)
{
    if (!end)
        return json_syntax_error(
            r, wrong, wrong == r->at ? "a value" : "a digit (numbers have no leading zero, '+' or bare '.')");
    r->at = end;
    return true;
}

bool json_read_number(struct json_reader *r, float *out)
{
    const char *wrong, *end = number_read(r->at, r->end, out, &wrong);
    return end_number(r, end, wrong);
}

bool json_read_double(struct json_reader *r, double *out)
{
    const char *wrong, *end = number_read_double(r->at, r->end, out, &wrong);
    return end_number(r, end, wrong);
}

bool json_read_scalar(struct json_reader *r, const char **what)
{
    float ignored;
    *what = "a number";
    if (*r->at == '"') {
        *what = "a text";
        return json_read_string(r, NULL);
    }
    if (json_read_word(r, "true") || json_read_word(r, "false"))
        *what = "true or false";
    else if (json_read_word(r, "null"))
        *what = "null";
    else if (!json_read_nonfinite(r, &ignored))
        return json_read_number(r, &ignored);
    return true;
}

/* ---- checking any value ---- */

/* One bit for each level: whether it is an object. The size of the body bounds the depth, so at most an eighth of this
   size is needed. */
struct levels {
    unsigned char *bits;
    size_t depth, room;
};

static bool push_level(struct json_reader *r, struct levels *levels, bool object)
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

bool json_read_key(struct json_reader *r, struct json_copy *copy)
{
    json_skip_space(r);
    if (*r->at != '"')
        return json_syntax_error(r, r->at, "a key in quotes");
    if (!json_read_string(r, copy))
        return false;
    json_skip_space(r);
    if (*r->at != ':')
        return json_syntax_error(r, r->at, "':' after a key");
    r->at++;
    return true;
}

static bool in_object(const struct levels *levels)
{
    size_t top = levels->depth - 1;
    return levels->bits[top >> 3] >> (top & 7) & 1;
}

/* After a value: closing brackets, then the comma before the next value (with its key), or the end. */
static bool end_value(struct json_reader *r, struct levels *levels)
{
    while (levels->depth) {
        bool object = in_object(levels);
        json_skip_space(r);
        if (*r->at == (object ? '}' : ']')) {
            r->at++;
            levels->depth--;
        } else if (*r->at == ',') {
            r->at++;
            return !object || json_read_key(r, NULL);
        } else {
            return json_syntax_error(r, r->at, object ? "',' or '}'" : "',' or ']'");
        }
    }
    return true;
}

static bool skip_levels(struct json_reader *r, struct levels *levels)
{
    const char *what;
    do {
        json_skip_space(r);
        bool object = *r->at == '{';
        if (object || *r->at == '[') {
            r->at++;
            if (!push_level(r, levels, object))
                return false;
            json_skip_space(r);
            if (*r->at != (object ? '}' : ']')) {
                if (object && !json_read_key(r, NULL))
                    return false;
                continue;
            }
        } else if (!json_read_scalar(r, &what)) {
            return false;
        }
        if (!end_value(r, levels))
            return false;
    } while (levels->depth);
    return true;
}

bool json_skip_value(struct json_reader *r)
{
    struct levels levels = {0};
    bool good = skip_levels(r, &levels);
    free(levels.bits);
    return good;
}
