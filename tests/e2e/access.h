/* Files of keys for the end-to-end tests. */
#ifndef TESTS_E2E_ACCESS_H
#define TESTS_E2E_ACCESS_H

#include "e2e.h"

/* A file of its own in /tmp, and its path. */
struct key_file {
    char path[64];
};

/* Begin one, with these bytes. */
struct key_file key_file_new(const char *text);
/* Replace its bytes at once. */
void key_file_write(const struct key_file *file, const char *text);
void key_file_remove(const struct key_file *file);

/* "name:scopes:sha256…" and what follows, with the end of the line; valid for some calls. */
const char *key_line(const char *name, const char *scopes, const char *key, const char *more);

/* A request with a key, as a bearer's; NULL: without one. */
struct reply ask_with_key(const struct daemon *daemon, const char *key, const char *method, const char *path,
                          const char *body);

#endif
