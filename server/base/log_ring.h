/* A ring of log lines for standard error. Once the writer's thread runs, no other thread waits for the reader of the
   log: a line goes into a ring of memory. If the ring is full, the line is dropped and counted. */
#ifndef SERVER_BASE_LOG_RING_H
#define SERVER_BASE_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_LINE_BYTES = 2048 };

/* Start the writer. notice: writes a line (of at most LOG_LINE_BYTES, its length is returned) that says how many lines
   were dropped; called in the writer's thread. If no thread can be started, lines are written directly, as before. */
void log_ring_start(size_t (*notice)(char *out, uint64_t dropped));

/* Add one whole line of at most LOG_LINE_BYTES, with its end. Without a writer, the line is written directly. */
void log_ring_line(const char *line, size_t bytes);

/* Lines that were dropped since the start. */
uint64_t log_ring_dropped(void);

/* Write the remaining lines and end the writer. Waits at most a second; then the rest is lost. */
void log_ring_stop(void);

#endif
