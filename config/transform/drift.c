/* Source of the weighted mean and variance: D. H. D. West, "Updating mean and variance estimates: an improved method",
   Communications of the ACM 22(9), 1979. */
#include "drift.h"

#include <math.h>
#include <stdlib.h>

struct drift *drift_new(size_t n)
{
    struct drift *drift = calloc(1, sizeof *drift);
    if (!drift)
        return NULL;
    pthread_mutex_init(&drift->lock, NULL);
    drift->n = n;
    drift->outside = calloc(n + 1, sizeof *drift->outside);
    drift->mean = calloc(n + 1, sizeof *drift->mean);
    drift->variance = calloc(n + 1, sizeof *drift->variance);
    if (drift->outside && drift->mean && drift->variance)
        return drift;
    drift_free(drift);
    return NULL;
}

void drift_free(struct drift *drift)
{
    if (!drift)
        return;
    pthread_mutex_destroy(&drift->lock);
    free((void *)drift->outside);
    free(drift->mean);
    free(drift->variance);
    free(drift);
}

bool drift_begin(struct drift *drift)
{
    return !pthread_mutex_trylock(&drift->lock);
}

void drift_end(struct drift *drift)
{
    pthread_mutex_unlock(&drift->lock);
}

bool drift_read(struct drift *drift, size_t i, double *mean, double *deviation)
{
    pthread_mutex_lock(&drift->lock);
    bool seen = drift->timesteps > 0;
    *mean = drift->mean[i];
    *deviation = sqrt(drift->variance[i]);
    pthread_mutex_unlock(&drift->lock);
    return seen;
}
