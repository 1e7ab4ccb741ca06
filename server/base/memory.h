/* The account of bytes: what requests hold is counted against one limit, so the most memory is known beforehand. */
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

/* What one request holds of it. A request takes and gives many small blocks, so its share takes slices of the account,
   keeps what is left of them, and gives all back when it holds nothing. Where there is no room for a slice, the share
   takes just what is wanted. */
struct memory_share {
    struct memory *memory;
    size_t bytes; /* that are held */
    bool beyond;  /* beyond the limit too: of probes, which take little and must be answered */
    size_t left;  /* of slices */
};

enum { MEMORY_SLICE = 16384, MEMORY_SLICES_OF_LIMIT = 4096 }; /* and a slice is at most that part of the limit */

/* Take bytes more; false when the limit would be passed (nothing is taken then). */
bool memory_take(struct memory_share *share, size_t bytes);

/* Give bytes back. */
void memory_give(struct memory_share *share, size_t bytes);

/* realloc that is accounted: the old size must be told. NULL when the limit or the memory is exhausted; the old
   block stays then. */
void *memory_realloc(struct memory_share *share, void *block, size_t old_bytes, size_t new_bytes);

#endif
