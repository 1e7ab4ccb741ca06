/* Growing text. */
#include "buffer.h"

#include "number_write.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Make room for more bytes. Returns NULL, or the reason why there is no room. */
static bool *obstacle(struct buffer *buffer, size_t bytes)
{
    if (bytes <= buffer->room - buffer->used)
        return NULL;
    size_t room = buffer->room ? buffer->room : 512;
    while (room - buffer->used < bytes && room <= buffer->limit)
        room *= 2;
    if (room - buffer->used < bytes || buffer->used > buffer->limit)
        return &buffer->too_large;
    char *grown = memory_realloc(buffer->share, buffer->text, buffer->room, room);
    if (!grown)
        return &buffer->exhausted;
    buffer->text = grown;
    buffer->room = room;
    return NULL;
}

bool buffer_try_room(struct buffer *buffer, size_t bytes)
{
    return !buffer->too_large && !buffer->exhausted && !obstacle(buffer, bytes);
}

bool buffer_room(struct buffer *buffer, size_t bytes)
{
    if (buffer->too_large || buffer->exhausted)
        return false;
    bool *why = obstacle(buffer, bytes);
    if (why)
        *why = true;
    return !why;
}

void buffer_bytes(struct buffer *buffer, const char *bytes, size_t n)
{
    if (!n || !buffer_room(buffer, n))
        return;
    memcpy(buffer->text + buffer->used, bytes, n);
    buffer->used += n;
}

void buffer_text(struct buffer *buffer, const char *text)
{
    buffer_bytes(buffer, text, strlen(text));
}

void buffer_printf(struct buffer *buffer, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    buffer_bytes(buffer, text, n < 0 ? 0 : (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

size_t buffer_floats_most(size_t n)
{
    return n * (NUMBER_MAX_CHARS + 1) + 2 + NUMBER_SLACK;
}

char *buffer_floats_at(char *out, const float *values, size_t n, bool *finite)
{
    *out++ = '[';
    for (size_t i = 0; i < n; i++)
        if (!isfinite(values[i]))
            *finite = false;
    out = numbers_write(values, n, out);
    if (n)
        out--;
    *out++ = ']';
    return out;
}

void buffer_floats(struct buffer *buffer, const float *values, size_t n, bool *finite)
{
    if (!buffer_room(buffer, buffer_floats_most(n)))
        return;
    buffer->used = (size_t)(buffer_floats_at(buffer->text + buffer->used, values, n, finite) - buffer->text);
    if (buffer->used > buffer->limit)
        buffer->too_large = true;
}

void buffer_tokens(struct buffer *buffer, const float *values, size_t n)
{
    for (size_t i = 0; i < n; i++)
        buffer_printf(buffer, "%s%.0f", i ? "," : "", (double)values[i]);
}

void buffer_escaped(struct buffer *buffer, const char *text)
{
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            buffer_printf(buffer, "\\%c", c);
        else if (c < 0x20 || c == 0x7f)
            buffer_printf(buffer, "\\u%04x", c);
        else
            buffer_bytes(buffer, text, 1);
    }
}

void buffer_close(struct buffer *buffer)
{
    free(buffer->text);
    memory_give(buffer->share, buffer->room);
    buffer->text = NULL;
    buffer->used = buffer->room = 0;
}
