/* Limits of the process's cgroup and of those above it: containers are cgroups. */
#ifndef SERVER_BASE_CGROUP_H
#define SERVER_BASE_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The limit that a cgroup's folder sets; 0: none. */
typedef uint64_t cgroup_limit(const char *folder);

/* The least limit from the process's own cgroup up to the root; 0: none. controller: of version 1 ("memory"), or NULL
   for version 2. root is the prefix of /proc and /sys: "", or a folder that a test has made. */
uint64_t cgroup_least(const char *root, const char *controller, cgroup_limit *limit);

/* Read the text of a file, at most size - 1 bytes. Returns its length, 0 if the file does not exist. */
size_t cgroup_read(const char *folder, const char *name, char *out, size_t size);

#endif
