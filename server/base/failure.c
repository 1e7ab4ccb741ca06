/* Failures: the first one is kept. */
#include "failure.h"

#include <stdarg.h>
#include <stdio.h>

bool failure_set(struct failure *failure, int status, const char *code, const char *path, const char *format, ...)
{
    if (failure->status)
        return false;
    failure->status = status;
    failure->code = code;
    snprintf(failure->path, sizeof failure->path, "%s", path ? path : "");
    va_list args;
    va_start(args, format);
    vsnprintf(failure->text, sizeof failure->text, format, args);
    va_end(args);
    return false;
}

bool failure_overloaded(struct failure *failure)
{
    return failure_set(failure, 503, "overloaded", "",
                       "The server holds too many request bytes at the moment; try again.");
}

bool failure_too_late(struct failure *failure)
{
    return failure_set(failure, 503, "too_late", "",
                       "The requests before this one take longer than its time-out; try again later.");
}
