/* Bodies and answers with Content-Encoding: gzip. */
#ifndef SERVER_CODEC_GZIP_H
#define SERVER_CODEC_GZIP_H

#include "server/base/failure.h"
#include "server/base/memory.h"

/* Decompress a gzip body (RFC 1952, several members are allowed) to at most max_bytes. The result is followed by a NUL
   byte. Its memory is counted in share. NULL with *failure set: 400 bad_encoding, 413 body_too_large, 503
   overloaded. */
char *gzip_expand(const char *body, size_t bytes, size_t max_bytes, struct memory_share *share, size_t *out_bytes,
                  size_t *out_room, struct failure *failure);

/* Decompress the beginning of a body into `room` bytes. Returns the number of bytes. */
size_t gzip_head(const char *body, size_t bytes, char *out, size_t room);

/* Compress an answer, at level 1, because a client waits. Returns NULL if the result is not smaller, or if out of
   memory. The memory is counted in share. */
char *gzip_compress(const char *text, size_t bytes, struct memory_share *share, size_t *out_bytes, size_t *out_room);

#endif
