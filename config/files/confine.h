/* A process that gives up everything but reading and writing memory: for parsers that do not survive damaged files. */
#ifndef CONFIG_FILES_CONFINE_H
#define CONFIG_FILES_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* Bounds of a confined process. */
struct confine_limits {
    size_t memory_bytes, file_bytes; /* of address space; of any file it writes */
    unsigned cpu_seconds;
};

/**
 * Confine the calling process for good: no files are opened, no sockets, no programs, no other processes; only
 * descriptors that are open stay usable, to read, write and map.
 *
 * Source: landlock(7), seccomp(2), setrlimit(2). missing gets the protections that this kernel lacks ("landlock,
 * seccomp"), "" where all are there; the others hold all the same.
 */
void confine(const struct confine_limits *limits, char *missing, size_t size);

#endif
