/* Admission: estimates the work of accepted requests, and refuses a request at once if it cannot be done before its
   deadline, if possible before its body is read. */
#ifndef SERVER_RUN_ADMISSION_H
#define SERVER_RUN_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every request changes these numbers, so they are atomics, without a lock. */
struct admission {
    _Alignas(64) _Atomic double backlog_ns;  /* the nanoseconds of work, of one worker, of all admitted requests that
                                                are not finished */
    _Alignas(64) _Atomic double ns_per_byte; /* the recent average of workers' time for each byte of a body; 0 before
                                                the first request */
    size_t workers;
};

void admission_init(struct admission *admission, size_t workers);

/* Admit a request of the given bytes (0: not known) that must be answered within timeout_ns. If it returns true, its
   estimate counts from now on and is in *work_ns. It returns false if the requests before it take too long. */
bool admission_enter(struct admission *admission, uint64_t bytes, int64_t timeout_ns, double *work_ns);

/* Replace the estimate of a request by a better one. Returns false as above; left_ns is the remaining time. */
bool admission_refine(struct admission *admission, double work_ns, int64_t left_ns, double *counted_ns);

/* The request is finished. It took took_ns of workers for a body of the given bytes; 0 does not change the
   estimates. */
void admission_leave(struct admission *admission, uint64_t bytes, double took_ns, double *counted_ns);

#endif
