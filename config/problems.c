/* The list of problems, and suggestions for misspelt keys. */
#include "problems.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LINES = 100, MAX_WORD = 64 };

static void add_line(char ***lines, size_t *n, size_t *all, struct place place, const char *format, va_list args)
{
    char text[1024];
    ++*all;
    if (*n >= MAX_LINES)
        return;
    const char *file = place.file ? place.file : "", *path = place.path ? place.path : "";
    int at = snprintf(text, sizeof text, "%.400s%s%.200s%s", file, *file ? ": " : "", path, *path ? ": " : "");
    vsnprintf(text + at, sizeof text - (size_t)at, format, args);
    char **grown = realloc(*lines, (*n + 1) * sizeof **lines);
    if (!grown)
        return;
    *lines = grown;
    if ((grown[*n] = strdup(text)))
        ++*n;
}

void problem_error(struct problems *problems, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(&problems->errors, &problems->n_errors, &problems->all_errors, place, format, args);
    va_end(args);
}

void problem_reason(struct problems *problems, const char *constant)
{
    if (!problems->reason)
        problems->reason = constant;
}

void problem_warning(struct problems *problems, struct place place, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(&problems->warnings, &problems->n_warnings, &problems->all_warnings, place, format, args);
    va_end(args);
}

void problems_close(struct problems *problems)
{
    for (size_t i = 0; i < problems->n_errors; i++)
        free(problems->errors[i]);
    for (size_t i = 0; i < problems->n_warnings; i++)
        free(problems->warnings[i]);
    free(problems->errors);
    free(problems->warnings);
    *problems = (struct problems){0};
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The Damerau-Levenshtein distance (optimal string alignment): counts letters that are missing, extra, replaced, or
   exchanged with the next letter. For words of at most MAX_WORD letters. */
static size_t distance(const char *a, const char *b)
{
    size_t rows[3][MAX_WORD + 1], *before = rows[0], *above = rows[1], *row = rows[2], columns = strlen(b);
    for (size_t j = 0; j <= columns; j++)
        above[j] = before[j] = j;
    for (size_t i = 1; a[i - 1]; i++) {
        row[0] = i;
        for (size_t j = 1; j <= columns; j++) {
            row[j] = least(least(row[j - 1], above[j]) + 1, above[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                row[j] = least(row[j], before[j - 2] + 1);
        }
        size_t *free_row = before;
        before = above;
        above = row;
        row = free_row;
    }
    return above[columns];
}

/* The largest distance at which a word of this length gets a suggestion. */
static size_t most_mistakes(size_t letters)
{
    return letters < 4 ? 1 : letters < 8 ? 2 : 3;
}

const char *nearest_word(const char *word, const char *const *candidates)
{
    const char *best = NULL;
    size_t length = strlen(word), best_distance = most_mistakes(length) + 1;
    if (length > MAX_WORD)
        return NULL;
    for (; *candidates; candidates++) {
        size_t letters = strlen(*candidates), d;
        if (letters > MAX_WORD || letters + best_distance <= length || length + best_distance <= letters)
            continue;
        d = distance(word, *candidates);
        if (d < best_distance && d < letters) {
            best_distance = d;
            best = *candidates;
        }
    }
    return best;
}

const char *nearest_hint(const char *word, const char *const *candidates, char *out, size_t size)
{
    const char *near = nearest_word(word, candidates);
    *out = 0;
    if (near)
        snprintf(out, size, "; did you mean \"%s\"?", near);
    return out;
}
