/* How raw inputs differ from those that a scaler was fitted on: values outside of its range, and what the last ones were
   like. Threads share it. */
#ifndef CONFIG_TRANSFORM_DRIFT_H
#define CONFIG_TRANSFORM_DRIFT_H

#include "core/scaler.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

/* Mean and variance are of about so many timesteps, the last ones. */
enum { DRIFT_TIMESTEPS = 65536 };

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

/* Raw value i of a timestep. weight: drift_weight of the timestep; 0: mean and variance are another's. They leave out NaN,
   and values 1000 times as far away as the range is wide: one of these would be all that is seen of a mean. */
static inline void drift_count(struct drift *drift, const struct rnn_scaler *scaler, size_t i, double x, double weight)
{
    if (scaler->least && (x < scaler->least[i] || x > scaler->most[i])) {
        double reach = 1000 * (scaler->most[i] - scaler->least[i]);
        atomic_fetch_add_explicit(&drift->outside[i], 1, memory_order_relaxed);
        weight = x < scaler->least[i] - reach || x > scaler->most[i] + reach ? 0 : weight;
    }
    if (weight <= 0 || x != x)
        return;
    double difference = x - drift->mean[i];
    drift->mean[i] += weight * difference;
    drift->variance[i] = (1 - weight) * (drift->variance[i] + weight * difference * difference);
}

/* The weight of the next timestep, between drift_begin and drift_end. */
static inline double drift_weight(struct drift *drift)
{
    drift->timesteps++;
    return 1 / (double)(drift->timesteps < DRIFT_TIMESTEPS ? drift->timesteps : DRIFT_TIMESTEPS);
}

/* What has been seen of feature i; false where nothing has. */
bool drift_read(struct drift *drift, size_t i, double *mean, double *deviation);

#endif
