/* gzip by zlib. Decompression stops at a limit. */
#include "gzip.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <zlib.h>

static bool too_large(struct failure *failure, size_t max_bytes)
{
    return failure_set(failure, 413, "body_too_large", "",
                       "The body expands to more than %zu bytes (limits.max_body_bytes).", max_bytes);
}

/* One more byte is reserved for the NUL. */
static bool more_room(z_stream *z, char **out, size_t *room, size_t max_bytes, struct memory_share *share,
                      struct failure *failure)
{
    size_t used = *room - z->avail_out - (*room > 0), grown = *room ? *room * 2 : 65536;
    if (used > max_bytes)
        return too_large(failure, max_bytes);
    if (grown > max_bytes + 2)
        grown = max_bytes + 2; /* one byte past the limit shows that the limit is exceeded */
    char *block = memory_realloc(share, *out, *room, grown);
    if (!block)
        return failure_overloaded(failure);
    *out = block;
    *room = grown;
    z->next_out = (unsigned char *)block + used;
    z->avail_out = (uInt)(grown - used - 1);
    return true;
}

static bool expand(z_stream *z, char **out, size_t *room, size_t max_bytes, struct memory_share *share,
                   struct failure *failure)
{
    for (;;) {
        if (!z->avail_out && !more_room(z, out, room, max_bytes, share, failure))
            return false;
        int status = inflate(z, Z_NO_FLUSH);
        if (status == Z_STREAM_END && z->avail_in)
            status = inflateReset(z);
        else if (status == Z_STREAM_END)
            return *room - 1 - z->avail_out <= max_bytes || too_large(failure, max_bytes);
        if (status != Z_OK && !(status == Z_BUF_ERROR && !z->avail_out))
            return failure_set(failure, 400, "bad_encoding", "", "The body is not valid gzip%s.",
                               z->avail_in ? "" : " (it is cut short)");
    }
}

char *gzip_expand(const char *body, size_t bytes, size_t max_bytes, struct memory_share *share, size_t *out_bytes,
                  size_t *out_room, struct failure *failure)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)body, .avail_in = (uInt)bytes};
    char *out = NULL;
    size_t room = 0;
    if (bytes > UINT_MAX || max_bytes > UINT_MAX - 2) {
        too_large(failure, UINT_MAX - 2);
        return NULL;
    }
    if (inflateInit2(&z, 15 + 16) != Z_OK) {
        failure_set(failure, 503, "out_of_memory", "", "The server has no memory left for this body.");
        return NULL;
    }
    bool good = expand(&z, &out, &room, max_bytes, share, failure);
    size_t used = room - z.avail_out - (room > 0);
    inflateEnd(&z);
    if (!good) {
        free(out);
        memory_give(share, room);
        return NULL;
    }
    out[used] = 0;
    *out_bytes = used;
    *out_room = room;
    return out;
}

size_t gzip_head(const char *body, size_t bytes, char *out, size_t room)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)body,
                  .avail_in = (uInt)(bytes < room ? bytes : room), /* this is enough, except for data that hardly
                                                                      shrinks */
                  .next_out = (unsigned char *)out,
                  .avail_out = (uInt)room};
    if (!body || inflateInit2(&z, 15 + 16) != Z_OK)
        return 0;
    inflate(&z, Z_SYNC_FLUSH);
    inflateEnd(&z);
    return room - z.avail_out;
}

char *gzip_compress(const char *text, size_t bytes, struct memory_share *share, size_t *out_bytes, size_t *out_room)
{
    z_stream z = {.next_in = (unsigned char *)(uintptr_t)text, .avail_in = (uInt)bytes};
    size_t room = bytes - bytes / 8;
    char *out = bytes <= UINT_MAX ? memory_realloc(share, NULL, 0, room) : NULL;
    if (!out)
        return NULL;
    z.next_out = (unsigned char *)out;
    z.avail_out = (uInt)room;
    bool good = deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (good) {
        good = deflate(&z, Z_FINISH) == Z_STREAM_END;
        deflateEnd(&z);
    }
    if (good) {
        *out_bytes = room - z.avail_out;
        *out_room = room;
        return out;
    }
    free(out);
    memory_give(share, room);
    return NULL;
}
