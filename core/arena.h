/* Bump allocation from one block that is sized before the work starts, and checked size arithmetic. */
#ifndef RNN_ARENA_H
#define RNN_ARENA_H

#include <stdbool.h>
#include <stddef.h>

#define RNN_ALIGNMENT 64 /* a cache line, and the widest vector */

/* *out = a * b, or false (and *out = SIZE_MAX) when it does not fit. The only way sizes are multiplied. */
bool rnn_size_mul(size_t a, size_t b, size_t *out);

/* *out = a + b, or false (and *out = SIZE_MAX) when it does not fit. */
bool rnn_size_add(size_t a, size_t b, size_t *out);

/* n rounded up to a multiple of step. */
static inline size_t rnn_round_up(size_t n, size_t step)
{
    return (n + step - 1) / step * step;
}

/* Allocate count elements of size bytes, zeroed and 64-byte aligned. The caller calls free. Returns NULL if the size is
   too large or if out of memory. */
void *rnn_alloc(size_t count, size_t size);

struct arena {
    unsigned char *base;
    size_t size, used;
};

/* All zeros is an empty arena. Reserve the given number of bytes in all. Earlier allocations are lost. Returns false if
   out of memory; then the arena is empty. */
bool arena_reserve(struct arena *arena, size_t bytes);

/* Drop all allocations; the block stays. */
void arena_reset(struct arena *arena);

/* Allocate count elements of size bytes, 64-byte aligned and not cleared. The caller must have reserved enough memory.
   Each allocation may need up to 64 bytes more than its size. */
void *arena_alloc(struct arena *arena, size_t count, size_t size);

void arena_close(struct arena *arena);

#endif
