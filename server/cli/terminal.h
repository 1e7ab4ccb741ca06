/* Colour, and a line that shows the progress of long work, only for terminals. */
#ifndef SERVER_CLI_TERMINAL_H
#define SERVER_CLI_TERMINAL_H

#include <stdbool.h>
#include <stdio.h>

enum terminal_style { STYLE_PLAIN, STYLE_BOLD, STYLE_RED, STYLE_GREEN, STYLE_YELLOW };

/* The escape sequence of a style. It is "" if the stream is not a terminal, if NO_COLOR is set (https://no-color.org),
   or if TERM is "dumb". */
const char *terminal_style(FILE *stream, enum terminal_style style);

/* Replace the line of progress on standard error. Does nothing if standard error is not a terminal. */
void terminal_progress(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Erase the line. */
void terminal_progress_end(void);

#endif
