/* Checks bounds before parsing: bytes while the file is read, values by counting in the text. */
#include "json_file.h"

#include "config/json_memory.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FIRST_BYTES = 64 << 10 };

/* Whether a text has at most the given number of values. Each value except the first follows a bracket, a comma or a
   colon. Keys count, too. */
static bool has_few_values(const char *text, size_t n, size_t most)
{
    size_t values = 1;
    bool quoted = false;
    for (size_t i = 0; i < n && values <= most; i++) {
        char c = text[i];
        if (quoted) {
            i += c == '\\';
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else {
            values += c == ',' || c == ':' || c == '[' || c == '{';
        }
    }
    return values <= most;
}

static json_t *parse(const char *text, size_t n, size_t flags, const char *what, struct place place,
                     struct problems *problems)
{
    json_error_t error;
    json_t *json = NULL;
    if (n > JSON_FILE_MAX_BYTES) {
        problem_error(problems, place, "%sexpected JSON of at most %d MiB", what, JSON_FILE_MAX_BYTES >> 20);
    } else if (!has_few_values(text, n, JSON_FILE_MAX_VALUES)) {
        problem_error(problems, place, "%sexpected JSON of at most %d values", what, JSON_FILE_MAX_VALUES);
    } else {
        json = json_memory_load(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | flags, &error);
        if (!json)
            problem_error(problems, place, "%sline %d, column %d: %s", what, error.line, error.column, error.text);
    }
    if (!json)
        problem_reason(problems, "its configuration is no JSON, or too large");
    return json;
}

json_t *json_file_parse(const char *text, size_t n, const char *what, struct place place, struct problems *problems)
{
    return parse(text, n, 0, what, place, problems);
}

/* Read a file, up to one byte more than allowed. Returns NULL with errno if it cannot be read. */
static char *read_whole(int fd, size_t *bytes)
{
    char *text = NULL;
    size_t room = 0;
    ssize_t got = 1;
    for (*bytes = 0; got > 0 && *bytes <= JSON_FILE_MAX_BYTES; *bytes += got > 0 ? (size_t)got : 0) {
        if (*bytes == room) {
            room = room ? 2 * room : FIRST_BYTES;
            char *grown = realloc(text, room);
            if (!grown) {
                free(text);
                errno = ENOMEM;
                return NULL;
            }
            text = grown;
        }
        do
            got = read(fd, text + *bytes, room - *bytes);
        while (got < 0 && errno == EINTR);
    }
    if (got >= 0)
        return text;
    int error = errno;
    free(text);
    errno = error;
    return NULL;
}

static json_t *read_file(int fd, size_t flags, struct place place, struct problems *problems)
{
    size_t bytes;
    char *text = read_whole(fd, &bytes);
    json_t *json = text ? parse(text, bytes, flags, "", place, problems) : NULL;
    if (!text)
        problem_error(problems, place, "%s", strerror(errno));
    free(text);
    return json;
}

json_t *json_file_read(int fd, struct place place, struct problems *problems)
{
    return read_file(fd, 0, place, problems);
}

json_t *json_file_read_twice(int fd, struct place place, struct problems *problems)
{
    json_t *json = read_file(fd, JSON_DECODE_ANY, place, problems), *inner = NULL;
    if (!json_is_string(json))
        return json;
    inner = parse(json_string_value(json), json_string_length(json), 0, "its text, ", place, problems);
    json_decref(json);
    return inner;
}
