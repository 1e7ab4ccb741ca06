/* The limits of this machine, with which bench compares a model. */
#ifndef SERVER_CLI_LIMITS_H
#define SERVER_CLI_LIMITS_H

#include "core/vec/vec.h"

/* The rate of multiply-adds of these kernels with operands in the L1 cache, in GFLOP/s of one thread. */
double limits_gflops(const struct vec_ops *vec);

/* The rate at which one thread reads `bytes` again and again, in GB/s; with several threads, the sum of their rates.
   Each thread reads its own share. */
double limits_read_gbs(const struct vec_ops *vec, size_t bytes, size_t threads);

/* The processor's name. */
void limits_cpu(char *out, size_t size);

#endif
