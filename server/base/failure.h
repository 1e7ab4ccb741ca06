/* Why a request fails: the content of its error answer. */
#ifndef SERVER_BASE_FAILURE_H
#define SERVER_BASE_FAILURE_H

#include <stdbool.h>

struct failure {
    int status;       /* HTTP; 0: none */
    const char *code; /* "invalid_json": snake_case, static */
    char text[256];   /* a sentence that says what is wrong and what to do */
    char path[160];   /* JSON pointer into the body, or "" */
};

/* Set the failure, unless one is set already. Returns false, for `return failure_set(…)`. */
bool failure_set(struct failure *failure, int status, const char *code, const char *path, const char *format, ...)
    __attribute__((format(printf, 5, 6)));

/* 503: the accepted requests take longer than this request may wait. Returns false. */
bool failure_too_late(struct failure *failure);

/* 503: limits.max_inflight_bytes, or the machine's memory, is used up. Returns false. */
bool failure_overloaded(struct failure *failure);

#endif
