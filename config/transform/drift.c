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

/* A vector of two numbers, of any alignment. */
typedef double two_doubles __attribute__((vector_size(16), aligned(8), may_alias));
typedef int64_t two_masks __attribute__((vector_size(16)));

/* A fast test whether any value may be outside its range. Usually none is, and no other test is needed. */
static bool some_outside(const double *x, const double *least, const double *most, size_t n)
{
    two_masks inside = {0}; /* each comparison that is true adds -1 */
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        two_doubles a = *(const two_doubles *)(x + i), b = *(const two_doubles *)(x + i + 2);
        inside += (a >= *(const two_doubles *)(least + i));
        inside += (a <= *(const two_doubles *)(most + i));
        inside += (b >= *(const two_doubles *)(least + i + 2));
        inside += (b <= *(const two_doubles *)(most + i + 2));
    }
    return i < n || inside[0] + inside[1] + 2 * (int64_t)n;
}

static void count_outside(struct drift *drift, const struct rnn_scaler *scaler, const double *x, size_t n)
{
    const double *least = scaler->least, *most = scaler->most;
    for (size_t i = some_outside(x, least, most, n) ? 0 : n; i < n; i++)
        if (x[i] < least[i] || x[i] > most[i])
            atomic_fetch_add_explicit(&drift->outside[i], 1, memory_order_relaxed);
}

static bool is_far_away(const struct rnn_scaler *scaler, size_t i, double x)
{
    if (!scaler->least || (x >= scaler->least[i] && x <= scaler->most[i]))
        return false;
    double reach = 1000 * (scaler->most[i] - scaler->least[i]);
    return x < scaler->least[i] - reach || x > scaler->most[i] + reach;
}

void drift_count(struct drift *drift, const struct rnn_scaler *scaler, const double *x, size_t n, double weight)
{
    n = n < scaler->n ? n : scaler->n;
    if (scaler->least)
        count_outside(drift, scaler, x, n);
    for (size_t i = 0; weight > 0 && i < n; i++) {
        if (isnan(x[i]) || is_far_away(scaler, i, x[i]))
            continue;
        double difference = x[i] - drift->mean[i];
        drift->mean[i] += weight * difference;
        drift->variance[i] = (1 - weight) * (drift->variance[i] + weight * difference * difference);
    }
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
