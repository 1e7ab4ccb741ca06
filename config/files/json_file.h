/* JSON of files, in bounded memory: jansson takes up to 45 times the text for what it reads. */
#ifndef CONFIG_FILES_JSON_FILE_H
#define CONFIG_FILES_JSON_FILE_H

#include "config/problems.h"

#include <jansson.h>

/* Of a configuration. A model of a thousand layers has some 60,000 values in 2 MiB. */
enum { JSON_FILE_MAX_BYTES = 16 << 20, JSON_FILE_MAX_VALUES = 1 << 18 };

/**
 * Parse a text of n bytes, which need not end with NUL. Keys may not be doubled; texts may have
 * NUL in them, as the code of Lambda layers does.
 *
 * what  begins the message of a problem: "" or "its configuration, ".
 *
 * NULL with a problem added when the text is no JSON, is larger than JSON_FILE_MAX_BYTES, or may hold more than
 * JSON_FILE_MAX_VALUES values.
 */
json_t *json_file_parse(const char *text, size_t n, const char *what, struct place place, struct problems *problems);

/* The same from an open file, read to its end; place.file is its path. fd stays the caller's. */
json_t *json_file_read(int fd, struct place place, struct problems *problems);

/* The same of a file whose JSON may be one text that is JSON itself, as json.dump(tokenizer.to_json(), file) leaves it. */
json_t *json_file_read_twice(int fd, struct place place, struct problems *problems);

#endif
