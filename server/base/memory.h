/* The account of bytes: the memory of all requests is counted against one limit, so the maximum is known in advance. */
#ifndef SERVER_BASE_MEMORY_H
#define SERVER_BASE_MEMORY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/* The account of the whole process. */
struct memory {
    _Alignas(64) _Atomic size_t used; /* slices of the shares: not less than what requests hold */
    _Alignas(64) _Atomic size_t limit;
};

/* The share of one request. A request allocates and frees many small blocks, so its share takes whole slices of the
   account and keeps the rest of a slice. The share gives all slices back when the request holds no memory. If the
   account has no room for a slice, the share takes only the needed bytes. */
struct memory_share {
    struct memory *memory;
    size_t bytes; /* bytes that the request holds */
    bool beyond;  /* may exceed the limit: for probes, which need little memory and must be answered */
    size_t left;  /* of slices */
};

enum { MEMORY_SLICE = 16384, MEMORY_SLICES_OF_LIMIT = 4096 }; /* and a slice is at most that part of the limit */

/* Take more bytes. Returns false, and takes nothing, if the limit would be exceeded. */
bool memory_take(struct memory_share *share, size_t bytes);

/* Give bytes back. */
void memory_give(struct memory_share *share, size_t bytes);

/* realloc with accounting; the caller passes the old size. Returns NULL if the limit or the memory is exhausted; then
   the old block stays valid. */
void *memory_realloc(struct memory_share *share, void *block, size_t old_bytes, size_t new_bytes);

#endif
