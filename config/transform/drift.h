/* Compares raw inputs with the data that a scaler was fitted on: counts values outside the scaler's range, and computes
   the mean and variance of the last values. Threads share it. */
#ifndef CONFIG_TRANSFORM_DRIFT_H
#define CONFIG_TRANSFORM_DRIFT_H

#include "core/scaler.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Mean and variance are of about so many timesteps, the last ones. Of one request's timesteps they take the first
   DRIFT_ALL, and then each DRIFT_EACH-th, which keeps their cost below 1 % of a request. DRIFT_EACH is a prime: values that
   repeat every 2, 7 or 24 timesteps are all seen. */
enum { DRIFT_TIMESTEPS = 65536, DRIFT_ALL = 8, DRIFT_EACH = 13 };

struct drift {
    size_t n;                  /* features */
    _Atomic uint64_t *outside; /* [n] values outside of the range */
    pthread_mutex_t lock;      /* guards all below; no other lock is taken under it */
    uint64_t timesteps;
    double *mean, *variance;
};

/* NULL when out of memory. */
struct drift *drift_new(size_t n);
void drift_free(struct drift *drift);

/* Begin to count the timesteps of a request. Where another thread is counting, mean and variance leave this request out:
   false then, and drift_end is not called. */
bool drift_begin(struct drift *drift);
void drift_end(struct drift *drift);

/* The raw values of a timestep, n of them. weight: drift_weight of the timestep; 0: mean and variance leave it out. They
   also leave out NaN, and values 1000 times as far away as the range is wide: one of these would be all that is seen of a
   mean. */
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
