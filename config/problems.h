/* Problems found in configuration and model files. Each problem is one line that says what to do. */
#ifndef CONFIG_PROBLEMS_H
#define CONFIG_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

/* All zeros is an empty list. Every problem is counted. The first 100 of each kind are kept, if memory suffices. The
   list is only for messages: whether a function has succeeded is in its return value. */
struct problems {
    char **errors, **warnings;
    size_t n_errors, n_warnings;     /* number of kept lines */
    size_t all_errors, all_warnings; /* number of found problems */
    const char *reason;              /* a constant sentence without paths and without text of a file, or NULL */
};

/* The place of a problem: a file, and a JSON pointer in it ("/models/0/path"). Each may be NULL or "". */
struct place {
    const char *file, *path;
};

/* Add an error: "file: /json/path: sentence". */
void problem_error(struct problems *problems, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Set the reason that clients see: a constant of the program. The first reason stays. NULL changes nothing. */
void problem_reason(struct problems *problems, const char *constant);

/* Add a warning: the file is unusual, but can be used. */
void problem_warning(struct problems *problems, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void problems_close(struct problems *problems);

/* Write "; did you mean \"x\"?" with the candidate that is most similar to word, or "" if none is similar, to out.
   Returns out. */
const char *nearest_hint(const char *word, const char *const *candidates, char *out, size_t size);

/* The candidate that is most similar to `word`, or NULL if none is similar. candidates ends with NULL. */
const char *nearest_word(const char *word, const char *const *candidates);

#endif
