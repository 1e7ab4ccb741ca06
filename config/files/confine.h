/* Confines a process to reading and writing memory, for parsers that crash on damaged files. */
#ifndef CONFIG_FILES_CONFINE_H
#define CONFIG_FILES_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* Limits of a confined process. */
struct confine_limits {
    size_t memory_bytes, file_bytes; /* of address space; of any file that it writes */
    unsigned cpu_seconds;
};

/**
 * Confine the calling process permanently: it cannot open files or sockets, and cannot start programs or processes.
 * Open descriptors stay usable for reading, writing and mapping.
 *
 * Source: landlock(7), seccomp(2), setrlimit(2). missing gets the names of the protections that this kernel does not
 * have ("landlock, seccomp"), or "". The other protections are set in any case.
 */
void confine(const struct confine_limits *limits, char *missing, size_t size);

#endif
