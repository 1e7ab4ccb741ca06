/* Compares raw inputs with the data that a scaler was fitted on: counts values outside the scaler's range, and computes
   the mean and variance of the last values. Threads share it. */
#ifndef CONFIG_TRANSFORM_DRIFT_H
#define CONFIG_TRANSFORM_DRIFT_H

#include "core/scaler.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Mean and variance cover about the last DRIFT_TIMESTEPS timesteps. In each request they count the first DRIFT_ALL
   timesteps, and then every DRIFT_EACH-th. This keeps their cost below 1 % of a request. DRIFT_EACH is a prime, so that
   all phases of a period of 2, 7 or 24 timesteps are sampled. */
enum { DRIFT_TIMESTEPS = 65536, DRIFT_ALL = 8, DRIFT_EACH = 13 };

struct drift {
    size_t n;                  /* the number of features */
    _Atomic uint64_t *outside; /* [n]: the numbers of values outside the range */
    pthread_mutex_t lock;      /* guards the fields below; no other lock is taken while it is held */
    uint64_t timesteps;
    double *mean, *variance;
};

/* Returns NULL if out of memory. */
struct drift *drift_new(size_t n);
void drift_free(struct drift *drift);

/* Begin to count the timesteps of a request. If another thread is counting, returns false: then mean and variance skip
   this request, and the caller does not call drift_end. */
bool drift_begin(struct drift *drift);
void drift_end(struct drift *drift);

/* Count the n raw values of a timestep. weight is the timestep's drift_weight; with 0, mean and variance skip the
   timestep. They also skip NaN, and values whose distance from the range is more than 1000 times its width: one such
   value would dominate the mean. */
void drift_count(struct drift *drift, const struct rnn_scaler *scaler, const double *x, size_t n, double weight);

/* The weight of the next timestep, between drift_begin and drift_end. */
static inline double drift_weight(struct drift *drift)
{
    drift->timesteps++;
    return 1 / (double)(drift->timesteps < DRIFT_TIMESTEPS ? drift->timesteps : DRIFT_TIMESTEPS);
}

/* The mean and deviation of feature i. Returns false if it has no values yet. */
bool drift_read(struct drift *drift, size_t i, double *mean, double *deviation);

#endif
