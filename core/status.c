/* Error sentences: the first one wins. */
#include "status.h"

#include <stdarg.h>
#include <stdio.h>

enum rnn_status rnn_fail(struct rnn_error *err, enum rnn_status status, const char *format, ...)
{
    if (err && !err->text[0]) {
        va_list args;
        va_start(args, format);
        vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
    return status;
}
