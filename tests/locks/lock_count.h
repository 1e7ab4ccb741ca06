/* Counts acquisitions of mutexes and times how long they are held, by the expression that names the mutex in the
   source. Every file of VARIANT=locks includes this header first. At its end the process writes the counts to the file
   that LOCK_COUNTS names. The main thread is not counted, because no request waits for it. */
#ifndef TESTS_LOCKS_LOCK_COUNT_H
#define TESTS_LOCKS_LOCK_COUNT_H

#include <pthread.h>
#include <time.h>

int counted_lock(pthread_mutex_t *mutex, const char *name);
int counted_unlock(pthread_mutex_t *mutex);
int counted_wait(pthread_cond_t *condition, pthread_mutex_t *mutex);
int counted_timedwait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until);
int counted_clockwait(pthread_cond_t *condition, pthread_mutex_t *mutex, clockid_t clock, const struct timespec *until);

#define pthread_mutex_lock(mutex) counted_lock(mutex, #mutex)
#define pthread_mutex_unlock(mutex) counted_unlock(mutex)
#define pthread_cond_wait(condition, mutex) counted_wait(condition, mutex)
#define pthread_cond_timedwait(condition, mutex, until) counted_timedwait(condition, mutex, until)
#define pthread_cond_clockwait(condition, mutex, clock, until) counted_clockwait(condition, mutex, clock, until)

#endif
