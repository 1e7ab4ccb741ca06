/* What this machine can do at all, for bench to compare with. */
#ifndef SERVER_CLI_LIMITS_H
#define SERVER_CLI_LIMITS_H

#include "core/vec/vec.h"

/* The multiply-add rate of these kernels with operands in the L1 cache, GFLOP/s of one thread. */
double limits_gflops(const struct vec_ops *vec);

/* Reading `bytes` again and again by one thread, GB/s; by `threads` threads, each its own share, all together. */
double limits_read_gbs(const struct vec_ops *vec, size_t bytes, size_t threads);

/* The processor's name. */
void limits_cpu(char *out, size_t size);

#endif
