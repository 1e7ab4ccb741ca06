/* Opcodes of pickles that put numbers and texts on the stack. */
#include "pickle_stack.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- opcodes: numbers ---- */

static bool push_text(struct machine *m, enum pickle_kind kind, const char *text, size_t bytes)
{
    return machine_push(m, pickle_new_text(m->pickle, kind, text, bytes));
}

static bool push_int(struct machine *m, enum pickle_kind kind, long long integer)
{
    struct pickle_value *value = pickle_new(m->pickle, kind);
    if (value)
        value->integer = integer;
    return machine_push(m, value);
}

static bool push_float(struct machine *m, double real)
{
    struct pickle_value *value = pickle_new(m->pickle, PICKLE_FLOAT);
    if (value)
        value->real = real;
    return machine_push(m, value);
}

bool op_none(struct machine *m, size_t unused)
{
    (void)unused;
    return machine_push(m, pickle_new(m->pickle, PICKLE_NONE));
}

bool op_bool(struct machine *m, size_t truth)
{
    return push_int(m, PICKLE_BOOL, (long long)truth);
}

bool op_binint(struct machine *m, size_t width)
{
    uint64_t bits;
    return machine_take_number(m, width, &bits) &&
           push_int(m, PICKLE_INT, width == 4 ? (int32_t)bits : (long long)bits);
}

/* LONG1 and LONG4: a length, and this number of bytes in two's complement. */
bool op_long(struct machine *m, size_t width)
{
    uint64_t n = 0, bits = 0;
    const unsigned char *p = machine_take_number(m, width, &n) ? machine_take(m, n) : NULL;
    if (!p)
        return false;
    if (n > 8)
        return machine_push(m, pickle_new_text(m->pickle, PICKLE_BIG_INT, (const char *)p, n));
    for (size_t i = n; i-- > 0;)
        bits = bits << 8 | p[i];
    if (n && n < 8 && p[n - 1] & 0x80)
        bits |= ~(uint64_t)0 << 8 * n;
    return push_int(m, PICKLE_INT, (long long)bits);
}

/* INT and LONG of protocol 0, in digits. INT is a bool if it is 00 or 01. */
bool op_digits(struct machine *m, size_t is_long)
{
    char text[MACHINE_NUMBER_BYTES], *end;
    if (!machine_take_digits(m, text))
        return false;
    if (!is_long && text[0] == '0' && text[1] && !text[2])
        return text[1] == '0' || text[1] == '1' ? op_bool(m, text[1] == '1') : machine_damaged(m);
    errno = 0;
    long long integer = strtoll(text, &end, 10);
    if (end == text || strcmp(end, is_long && *end ? "L" : ""))
        return machine_damaged(m);
    if (errno)
        return push_text(m, PICKLE_BIG_INT, (const char *)m->bytes + m->at - strlen(text) - 1, strlen(text));
    return push_int(m, PICKLE_INT, integer);
}

bool op_float(struct machine *m, size_t unused)
{
    char text[MACHINE_NUMBER_BYTES], *end;
    (void)unused;
    if (!machine_take_digits(m, text))
        return false;
    double real = strtod(text, &end);
    return end == text || *end ? machine_damaged(m) : push_float(m, real);
}

/* Big-endian. */
bool op_binfloat(struct machine *m, size_t unused)
{
    const unsigned char *p = machine_take(m, 8);
    uint64_t bits = 0;
    double real;
    (void)unused;
    for (size_t i = 0; p && i < 8; i++)
        bits = bits << 8 | p[i];
    memcpy(&real, &bits, sizeof real);
    return p && push_float(m, real);
}

/* ---- opcodes: texts ---- */

bool op_text(struct machine *m, size_t width)
{
    uint64_t n;
    const unsigned char *p = machine_take_number(m, width, &n) ? machine_take(m, n) : NULL;
    return p && push_text(m, PICKLE_TEXT, (const char *)p, n);
}

bool op_bytes(struct machine *m, size_t width)
{
    uint64_t n;
    const unsigned char *p = machine_take_number(m, width, &n) ? machine_take(m, n) : NULL;
    return p && push_text(m, PICKLE_BYTES, (const char *)p, n);
}

static bool hex(const char *digits, size_t n, unsigned *out)
{
    *out = 0;
    for (size_t i = 0; i < n; i++) {
        const char *at = digits[i] ? strchr("0123456789abcdef", digits[i] | 0x20) : NULL;
        if (!at)
            return false;
        *out = *out << 4 | (unsigned)(at - "0123456789abcdef");
    }
    return true;
}

static size_t put_utf8(unsigned code, char *out)
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 63));
        return 2;
    }
    out[0] = (char)(0xe0 | (code >> 12 & 15));
    out[1] = (char)(0x80 | (code >> 6 & 63));
    out[2] = (char)(0x80 | (code & 63));
    return 3;
}

/* STRING of protocol 0: the text as a Python literal, in quotes. Bytes above 127 are written as \xNN. */
bool op_quoted(struct machine *m, size_t unused)
{
    static const char from[] = "nrtabfv0\\'\"", to[] = "\n\r\t\a\b\f\v\0\\'\"";
    size_t bytes = 0, n = 0;
    const char *line = machine_take_line(m, &bytes);
    (void)unused;
    if (!line || bytes < 2 || (line[0] != '\'' && line[0] != '"') || line[bytes - 1] != line[0])
        return machine_damaged(m);
    char *text = pickle_alloc(m->pickle, bytes);
    if (!text)
        return false;
    for (size_t i = 1; i + 1 < bytes; i++) {
        unsigned code = (unsigned char)line[i];
        if (code == '\\' && i + 2 < bytes) {
            const char *escape = line[++i] ? strchr(from, line[i]) : NULL;
            if (line[i] == 'x' && i + 3 < bytes && hex(line + i + 1, 2, &code))
                i += 2;
            else if (escape)
                code = (unsigned char)to[escape - from];
            else
                return machine_damaged(m);
        }
        text[n++] = (char)code;
    }
    return push_text(m, PICKLE_TEXT, text, n);
}

/* UNICODE of protocol 0: Latin 1, other characters as \uNNNN. */
bool op_raw_unicode(struct machine *m, size_t unused)
{
    size_t bytes = 0, n = 0;
    const char *line = machine_take_line(m, &bytes);
    char *text = line ? pickle_alloc(m->pickle, 2 * bytes + 1) : NULL;
    (void)unused;
    for (size_t i = 0; text && i < bytes; i++) {
        unsigned code = (unsigned char)line[i];
        if (code == '\\' && bytes - i >= 6 && line[i + 1] == 'u' && hex(line + i + 2, 4, &code))
            i += 5;
        n += put_utf8(code, text + n);
    }
    return text && push_text(m, PICKLE_TEXT, text, n);
}
