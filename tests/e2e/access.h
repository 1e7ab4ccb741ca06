/* Key files for the end-to-end tests. */
#ifndef TESTS_E2E_ACCESS_H
#define TESTS_E2E_ACCESS_H

#include "e2e.h"

/* The path of a key file in /tmp. */
struct key_file {
    char path[64];
};

/* Create a file with this text. */
struct key_file key_file_new(const char *text);
/* Replace the file atomically. */
void key_file_write(const struct key_file *file, const char *text);
void key_file_remove(const struct key_file *file);

/* The line "name:scopes:sha256…", then `more` and a line feed; valid for the next 15 calls. */
const char *key_line(const char *name, const char *scopes, const char *key, const char *more);

/* Send a request with a bearer key; NULL: without a key. */
struct reply ask_with_key(const struct daemon *daemon, const char *key, const char *method, const char *path,
                          const char *body);

#endif
