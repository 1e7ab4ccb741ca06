/* Bump allocation and checked sizes. Under AddressSanitizer, memory that is not allocated from the arena is
   poisoned. */
#include "arena.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__SANITIZE_ADDRESS__)
#define ARENA_POISON 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define ARENA_POISON 1
#endif
#endif
#ifdef ARENA_POISON
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

bool rnn_size_mul(size_t a, size_t b, size_t *out)
{
    if (!__builtin_mul_overflow(a, b, out))
        return true;
    *out = SIZE_MAX;
    return false;
}

bool rnn_size_add(size_t a, size_t b, size_t *out)
{
    if (!__builtin_add_overflow(a, b, out))
        return true;
    *out = SIZE_MAX;
    return false;
}

void *rnn_alloc(size_t count, size_t size)
{
    size_t bytes, padded;
    if (!rnn_size_mul(count, size, &bytes) || !rnn_size_add(bytes, RNN_ALIGNMENT, &padded))
        return NULL;
    padded = padded / RNN_ALIGNMENT * RNN_ALIGNMENT;
    void *p = aligned_alloc(RNN_ALIGNMENT, padded);
    if (p)
        memset(p, 0, padded);
    return p;
}

bool arena_reserve(struct arena *arena, size_t bytes)
{
    if (bytes > arena->size) {
        arena_close(arena);
        arena->base = rnn_alloc(bytes, 1);
        if (!arena->base)
            return false;
        arena->size = bytes;
    }
    arena_reset(arena);
    return true;
}

void arena_reset(struct arena *arena)
{
    arena->used = 0;
    ASAN_POISON_MEMORY_REGION(arena->base, arena->size);
}

void *arena_alloc(struct arena *arena, size_t count, size_t size)
{
    size_t bytes;
    bool fits = rnn_size_mul(count, size, &bytes) && bytes <= arena->size - arena->used;
    assert(fits);
    if (!fits)
        abort();
    unsigned char *p = arena->base + arena->used;
    arena->used += rnn_round_up(bytes, RNN_ALIGNMENT);
    if (arena->used > arena->size)
        arena->used = arena->size;
    ASAN_UNPOISON_MEMORY_REGION(p, bytes);
    return p;
}

void arena_close(struct arena *arena)
{
    ASAN_UNPOISON_MEMORY_REGION(arena->base, arena->size);
    free(arena->base);
    *arena = (struct arena){0};
}
