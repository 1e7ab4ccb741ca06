/* The account of the bytes that requests hold. */
#include "memory.h"

#include <stdlib.h>

static bool take(const struct memory_share *share, size_t bytes)
{
    size_t before = atomic_fetch_add(&share->memory->used, bytes), limit = share->memory->limit;
    if (share->beyond || (bytes <= limit && before <= limit - bytes))
        return true;
    atomic_fetch_sub(&share->memory->used, bytes);
    return false;
}

bool memory_take(struct memory_share *share, size_t bytes)
{
    if (bytes > share->left) {
        size_t slice = share->memory->limit / MEMORY_SLICES_OF_LIMIT, lacks = bytes - share->left;
        slice = slice < MEMORY_SLICE ? slice : MEMORY_SLICE;
        if (lacks < slice && take(share, slice))
            share->left += slice;
        else if (take(share, lacks))
            share->left += lacks;
        else
            return false;
    }
    share->left -= bytes;
    share->bytes += bytes;
    return true;
}

/* A share that holds something keeps a slice at most. */
void memory_give(struct memory_share *share, size_t bytes)
{
    size_t slice = share->memory->limit / MEMORY_SLICES_OF_LIMIT;
    share->bytes -= bytes;
    share->left += bytes;
    slice = !share->bytes ? 0 : slice < MEMORY_SLICE ? slice : MEMORY_SLICE;
    if (share->left > slice) {
        atomic_fetch_sub(&share->memory->used, share->left - slice);
        share->left = slice;
    }
}

void *memory_realloc(struct memory_share *share, void *block, size_t old_bytes, size_t new_bytes)
{
    if (new_bytes > old_bytes && !memory_take(share, new_bytes - old_bytes))
        return NULL;
    void *grown = realloc(block, new_bytes);
    if (!grown && new_bytes > old_bytes)
        memory_give(share, new_bytes - old_bytes);
    if (grown && new_bytes < old_bytes)
        memory_give(share, old_bytes - new_bytes);
    return grown;
}
