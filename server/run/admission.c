/* Admission by estimated work. */
#include "admission.h"

/* How much the last request counts among those before it. */
#define NEWEST 0.05

void admission_init(struct admission *admission, size_t workers)
{
    *admission = (struct admission){.workers = workers ? workers : 1};
    pthread_mutex_init(&admission->lock, NULL);
}

void admission_close(struct admission *admission)
{
    pthread_mutex_destroy(&admission->lock);
}

/* Under the lock. A request that is alone is tried in any case: the estimate may be wrong, and no later time is better. */
static bool fits(const struct admission *admission, double others_ns, double work_ns, int64_t left_ns)
{
    return others_ns <= 0 || (others_ns + work_ns) / (double)admission->workers <= (double)left_ns;
}

bool admission_enter(struct admission *admission, uint64_t bytes, int64_t timeout_ns, double *work_ns)
{
    pthread_mutex_lock(&admission->lock);
    *work_ns = (double)bytes * admission->ns_per_byte;
    bool good = fits(admission, admission->backlog_ns, *work_ns, timeout_ns);
    if (good)
        admission->backlog_ns += *work_ns;
    else
        *work_ns = 0;
    pthread_mutex_unlock(&admission->lock);
    return good;
}

bool admission_refine(struct admission *admission, double work_ns, int64_t left_ns, double *counted_ns)
{
    pthread_mutex_lock(&admission->lock);
    admission->backlog_ns -= *counted_ns;
    bool good = fits(admission, admission->backlog_ns, work_ns, left_ns);
    *counted_ns = good ? work_ns : 0;
    admission->backlog_ns += *counted_ns;
    pthread_mutex_unlock(&admission->lock);
    return good;
}

void admission_leave(struct admission *admission, uint64_t bytes, double took_ns, double *counted_ns)
{
    pthread_mutex_lock(&admission->lock);
    admission->backlog_ns -= *counted_ns;
    if (admission->backlog_ns < 1) /* what rounding leaves of nothing */
        admission->backlog_ns = 0;
    *counted_ns = 0;
    if (bytes && took_ns > 0) {
        double rate = took_ns / (double)bytes;
        admission->ns_per_byte += (admission->ns_per_byte > 0 ? NEWEST : 1) * (rate - admission->ns_per_byte);
    }
    pthread_mutex_unlock(&admission->lock);
}
