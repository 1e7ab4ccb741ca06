/* The account of the bytes that requests hold. */
#include "memory.h"

#include <stdlib.h>

bool memory_take(struct memory_share *share, size_t bytes)
{
    size_t before = atomic_fetch_add(&share->memory->used, bytes), limit = share->memory->limit;
    if (!share->beyond && (bytes > limit || before > limit - bytes)) {
        atomic_fetch_sub(&share->memory->used, bytes);
        return false;
    }
    share->bytes += bytes;
    return true;
}

void memory_give(struct memory_share *share, size_t bytes)
{
    atomic_fetch_sub(&share->memory->used, bytes);
    share->bytes -= bytes;
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
