/* Lines on their way to standard error. Once the writer's thread runs, nobody who logs waits for a reader of the log: a line
   goes into a ring of memory, and is dropped and counted where the ring is full. */
#ifndef SERVER_BASE_LOG_RING_H
#define SERVER_BASE_LOG_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LOG_LINE_BYTES = 2048 };

/* Start the writer. notice: writes a line (of at most LOG_LINE_BYTES, its length is returned) that says how many lines were
   dropped; called in the writer's thread. Where there is no thread to be had, lines are written at once as before. */
void log_ring_start(size_t (*notice)(char *out, uint64_t dropped));

/* One whole line of at most LOG_LINE_BYTES, with its end. Written at once while no writer runs. */
void log_ring_line(const char *line, size_t bytes);

/* Lines that were dropped since the start. */
uint64_t log_ring_dropped(void);

/* Write what is left and end the writer, but wait for a second at most: then the rest is lost. */
void log_ring_stop(void);

#endif
