/* JSON of files, in bounded memory: jansson needs up to 45 times the memory of the text. */
#ifndef CONFIG_FILES_JSON_FILE_H
#define CONFIG_FILES_JSON_FILE_H

#include "config/problems.h"

#include <jansson.h>

/* The limits of a configuration. A model of a thousand layers has about 60,000 values in 2 MiB. */
enum { JSON_FILE_MAX_BYTES = 16 << 20, JSON_FILE_MAX_VALUES = 1 << 18 };

/**
 * Parse a text of n bytes, which need not end with NUL. Duplicate keys are errors. Strings may contain NUL, as the code
 * of Lambda layers does.
 *
 * what  begins the message of a problem: "" or "its configuration, ".
 *
 * Returns NULL with a problem added if the text is not JSON, is larger than JSON_FILE_MAX_BYTES, or may have more than
 * JSON_FILE_MAX_VALUES values.
 */
json_t *json_file_parse(const char *text, size_t n, const char *what, struct place place, struct problems *problems);

/* The same for an open file, which is read to its end. place.file is its path. The caller closes fd. */
json_t *json_file_read(int fd, struct place place, struct problems *problems);

/* The same for a file whose JSON may be a string that is itself JSON, as json.dump(tokenizer.to_json(), file) writes
   it. */
json_t *json_file_read_twice(int fd, struct place place, struct problems *problems);

#endif
