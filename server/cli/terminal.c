/* Colour and progress, only for terminals. */
#include "terminal.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *terminal_style(FILE *stream, enum terminal_style style)
{
    static const char *const codes[] = {"\033[0m", "\033[1m", "\033[31m", "\033[32m", "\033[33m"};
    const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
    bool plain = !isatty(fileno(stream)) || (no_color && *no_color) || (term && !strcmp(term, "dumb"));
    return plain ? "" : codes[style];
}

static bool shown; /* a line of progress is on the screen */

void terminal_progress(const char *format, ...)
{
    if (!isatty(STDERR_FILENO))
        return;
    va_list args;
    va_start(args, format);
    fputs("\r\033[K", stderr);
    vfprintf(stderr, format, args);
    fflush(stderr);
    va_end(args);
    shown = true;
}

void terminal_progress_end(void)
{
    if (shown)
        fputs("\r\033[K", stderr);
    shown = false;
}
