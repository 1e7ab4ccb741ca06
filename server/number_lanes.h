/* Many float32 as text at a time, in the lanes of a vector: numbers_write where the CPU can. */
#ifndef SERVER_NUMBER_LANES_H
#define SERVER_NUMBER_LANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ceil(10^k * 2^(63 - floor(log2 10^k))) for k = -31..45, by exact rational arithmetic. */
extern const uint64_t number_powers_of_ten[77];

/* numbers_write from *out on, which is moved to the end. False, and nothing is written, on a CPU that has not the
   instructions (AVX-512 F, BW, CD, DQ). */
bool number_lanes_write(const float *values, size_t n, char **out);

#endif
