/* Problems found in configuration and model files: every one of them, each a line a person can act on. */
#ifndef CONFIG_PROBLEMS_H
#define CONFIG_PROBLEMS_H

#include <stdbool.h>
#include <stddef.h>

/* All zeros is an empty list. Every problem is counted; the first 100 of each kind are kept, as far as there is memory.
   Whether something worked is what a function returns: the list is for people to read. */
struct problems {
    char **errors, **warnings;
    size_t n_errors, n_warnings;     /* lines that are kept */
    size_t all_errors, all_warnings; /* problems that were found */
    const char *reason;              /* a constant sentence without paths and without anything of a file, or NULL */
};

/* A place: the file, and within it a JSON pointer ("/models/0/path"); either may be NULL or "". */
struct place {
    const char *file, *path;
};

/* Add an error: "file: /json/path: sentence". */
void problem_error(struct problems *problems, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Why it fails, for strangers: a constant of the program. The first one stays. NULL is none. */
void problem_reason(struct problems *problems, const char *constant);

/* The same for what is odd but does no harm. */
void problem_warning(struct problems *problems, struct place place, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

void problems_close(struct problems *problems);

/* "; did you mean \"x\"?" with the candidate that is most like word, or "" when none is near; in out, which is returned. */
const char *nearest_hint(const char *word, const char *const *candidates, char *out, size_t size);

/* The candidate that is most like `word`, or NULL when none is near. candidates ends with NULL. */
const char *nearest_word(const char *word, const char *const *candidates);

#endif
