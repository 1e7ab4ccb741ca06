/* A growing text for the body of an answer. Its size is limited and counted in the memory account. */
#ifndef SERVER_CODEC_BUFFER_H
#define SERVER_CODEC_BUFFER_H

#include "server/base/memory.h"

struct buffer {
    char *text;
    size_t used, room;
    size_t limit;              /* the limit of its size */
    bool too_large, exhausted; /* the reason why it could not grow; then all further text is dropped */
    struct memory_share *share;
};

/* Make room for more bytes. Returns false if the limit or the memory does not allow it. */
bool buffer_room(struct buffer *buffer, size_t bytes);

/* The same for callers that can continue without the room: on failure the buffer stays usable. */
bool buffer_try_room(struct buffer *buffer, size_t bytes);

void buffer_text(struct buffer *buffer, const char *text);
void buffer_bytes(struct buffer *buffer, const char *bytes, size_t n);
void buffer_printf(struct buffer *buffer, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The largest size of a JSON list of n numbers. */
size_t buffer_floats_most(size_t n);
/* Write such a list to out, which has room for it. Returns its end. *finite as below. */
char *buffer_floats_at(char *out, const float *values, size_t n, bool *finite);

/* Append a JSON list of numbers, "[1.0,0.5]". Sets *finite to false if a number is NaN or infinite, and never to
   true. */
void buffer_floats(struct buffer *buffer, const float *values, size_t n, bool *finite);

/* Append whole numbers, "12,5". */
void buffer_tokens(struct buffer *buffer, const float *values, size_t n);

/* Append the content of a JSON string or a Prometheus label, escaped, without quotes. */
void buffer_escaped(struct buffer *buffer, const char *text);

void buffer_close(struct buffer *buffer);

#endif
