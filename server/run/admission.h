/* Who is let in: the work that has been accepted is estimated, and what could not be done before its deadline is refused
   at once, before its body is read where that can be known. */
#ifndef SERVER_RUN_ADMISSION_H
#define SERVER_RUN_ADMISSION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Every request changes these numbers, so they are atomics, without a lock. */
struct admission {
    _Alignas(64) _Atomic double backlog_ns;  /* of one worker: estimates of all that was let in and is not finished */
    _Alignas(64) _Atomic double ns_per_byte; /* of a body: how long requests took workers lately; 0 before the first */
    size_t workers;
};

void admission_init(struct admission *admission, size_t workers);

/* A request of so many bytes (0: not known) that must be answered within timeout_ns. True: its estimate counts from now on
   and is in *work_ns; false: it cannot be done in time, since others are before it. */
bool admission_enter(struct admission *admission, uint64_t bytes, int64_t timeout_ns, double *work_ns);

/* Now it is known better what the request takes; false as above, with left_ns to go. */
bool admission_refine(struct admission *admission, double work_ns, int64_t left_ns, double *counted_ns);

/* The request is finished; it took workers took_ns (0: nothing is learnt from it) for a body of so many bytes. */
void admission_leave(struct admission *admission, uint64_t bytes, double took_ns, double *counted_ns);

#endif
