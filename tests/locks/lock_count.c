/* Counts the uses of mutexes, by name. */
#include "lock_count.h"

#undef pthread_mutex_lock
#undef pthread_mutex_unlock
#undef pthread_cond_wait
#undef pthread_cond_timedwait
#undef pthread_cond_clockwait

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { NAMES = 128, DEPTH = 32 };

static struct row {
    _Atomic(const char *) name;
    atomic_ulong taken, contended, held_ns, longest_ns;
} rows[NAMES];

/* Mutexes that this thread holds. */
static _Thread_local struct held {
    pthread_mutex_t *mutex;
    struct row *row;
    uint64_t since_ns;
} held[DEPTH];

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static struct row *row_of(const char *name)
{
    for (size_t i = 0; i < NAMES; i++) {
        const char *found = NULL;
        if (atomic_compare_exchange_strong(&rows[i].name, &found, name) || !strcmp(found, name))
            return &rows[i];
    }
    abort(); /* more names than NAMES */
}

static void begin(pthread_mutex_t *mutex, struct row *row)
{
    for (size_t i = 0; i < DEPTH; i++)
        if (!held[i].mutex) {
            held[i] = (struct held){mutex, row, now_ns()};
            return;
        }
    abort();
}

static struct row *end(const pthread_mutex_t *mutex)
{
    for (size_t i = 0; i < DEPTH; i++)
        if (held[i].mutex == mutex) {
            struct row *row = held[i].row;
            uint64_t ns = now_ns() - held[i].since_ns, longest = row->longest_ns;
            held[i].mutex = NULL;
            if (getpid() == gettid())
                return row;
            row->held_ns += ns;
            while (ns > longest && !atomic_compare_exchange_weak(&row->longest_ns, &longest, ns))
                ;
            return row;
        }
    abort();
}

int counted_lock(pthread_mutex_t *mutex, const char *name)
{
    struct row *row = row_of(name);
    int failed = pthread_mutex_trylock(mutex);
    if (getpid() != gettid()) {
        row->taken++;
        row->contended += failed != 0;
    }
    if (failed)
        pthread_mutex_lock(mutex);
    begin(mutex, row);
    return 0;
}

int counted_unlock(pthread_mutex_t *mutex)
{
    end(mutex);
    return pthread_mutex_unlock(mutex);
}

/* A wait releases the mutex and takes it again. */
int counted_wait(pthread_cond_t *condition, pthread_mutex_t *mutex)
{
    struct row *row = end(mutex);
    int result = pthread_cond_wait(condition, mutex);
    row->taken += getpid() != gettid();
    begin(mutex, row);
    return result;
}

int counted_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until)
{
    struct row *row = end(mutex);
    int result = pthread_cond_timedwait(condition, mutex, until);
    row->taken += getpid() != gettid();
    begin(mutex, row);
    return result;
}

int counted_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until)
{
    struct row *row = end(mutex);
    int result = pthread_cond_clockwait(condition, mutex, clock, until);
    row->taken += getpid() != gettid();
    begin(mutex, row);
    return result;
}

__attribute__((destructor)) static void write_counts(void)
{
    const char *path = getenv("LOCK_COUNTS");
    FILE *out = path ? fopen(path, "w") : NULL;
    for (size_t i = 0; out && i < NAMES && rows[i].name; i++)
        fprintf(out, "%s\t%lu\t%lu\t%lu\t%lu\n", (const char *)rows[i].name, rows[i].taken, rows[i].contended,
                rows[i].held_ns, rows[i].longest_ns);
    if (out)
        fclose(out);
}
