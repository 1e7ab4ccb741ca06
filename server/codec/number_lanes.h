/* Writes several float32 as text at a time, in the lanes of a vector. */
#ifndef SERVER_CODEC_NUMBER_LANES_H
#define SERVER_CODEC_NUMBER_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ceil(10^k * 2^(63 - floor(log2 10^k))) for k = -31..45, by exact rational arithmetic. */
extern const uint64_t number_powers_of_ten[77];

/* Decide whether number_lanes_write is used: if the process uses the AVX-512 kernels (CELLSERVE_ISA), and the CPU has
   F, BW, CD and DQ. Called once at start, before other threads; until then it is not used. */
bool number_lanes_choose(const char *isa);

/* Like numbers_write, from *out on; *out is moved to the end of the text. Returns false and writes nothing if it may
   not be used. */
bool number_lanes_write(const float *values, size_t n, char **out);

#endif
