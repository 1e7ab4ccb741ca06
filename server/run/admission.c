/* Admission by estimated work. */
#include "admission.h"

#include <stdatomic.h>

/* The weight of the last request in the moving average. */
#define NEWEST 0.05

void admission_init(struct admission *admission, size_t workers)
{
    admission->backlog_ns = admission->ns_per_byte = 0;
    admission->workers = workers ? workers : 1;
}

/* If no other request is running, a request is always accepted: the estimate may be wrong, and waiting would not
   help. */
static bool fits(const struct admission *admission, double others_ns, double work_ns, int64_t left_ns)
{
    return others_ns <= 0 || (others_ns + work_ns) / (double)admission->workers <= (double)left_ns;
}

/* Count the work instead of counted_ns, if it fits. Returns whether it fits. */
static bool count_work(struct admission *admission, double counted_ns, double work_ns, int64_t left_ns)
{
    double before = admission->backlog_ns, others;
    bool good;
    do {
        others = before - counted_ns;
        good = fits(admission, others, work_ns, left_ns);
    } while (!atomic_compare_exchange_weak(&admission->backlog_ns, &before, good ? others + work_ns : others));
    return good;
}

bool admission_enter(struct admission *admission, uint64_t bytes, int64_t timeout_ns, double *work_ns)
{
    double work = (double)bytes * admission->ns_per_byte;
    bool good = count_work(admission, 0, work, timeout_ns);
    *work_ns = good ? work : 0;
    return good;
}

bool admission_refine(struct admission *admission, double work_ns, int64_t left_ns, double *counted_ns)
{
    bool good = count_work(admission, *counted_ns, work_ns, left_ns);
    *counted_ns = good ? work_ns : 0;
    return good;
}

/* A rest below one nanosecond comes from rounding, and counts as 0. */
static void give_back(struct admission *admission, double counted_ns)
{
    double before = admission->backlog_ns, after;
    do
        after = before - counted_ns < 1 ? 0 : before - counted_ns;
    while (!atomic_compare_exchange_weak(&admission->backlog_ns, &before, after));
}

static void learn(struct admission *admission, double rate)
{
    double before = admission->ns_per_byte, after;
    do
        after = before + (before > 0 ? NEWEST : 1) * (rate - before);
    while (!atomic_compare_exchange_weak(&admission->ns_per_byte, &before, after));
}

void admission_leave(struct admission *admission, uint64_t bytes, double took_ns, double *counted_ns)
{
    if (*counted_ns > 0)
        give_back(admission, *counted_ns);
    *counted_ns = 0;
    if (bytes && took_ns > 0)
        learn(admission, took_ns / (double)bytes);
}
