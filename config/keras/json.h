/* Reading the keys of Keras's serialized objects, with problems that name the place. */
#ifndef CONFIG_KERAS_JSON_H
#define CONFIG_KERAS_JSON_H

#include "config/problems.h"

#include <jansson.h>

enum { KERAS_PATH_BYTES = 224 };

/* What all readers of one file share. */
struct keras_reader {
    const char *file;
    int keras_major; /* 2 or 3: hard_sigmoid differs */
    bool before_2_2; /* a Keras whose GRU had no reset_after, and reset before the product */
    struct problems *problems;
    bool *failed;                  /* set by every error: then nothing may be built from what was read */
    size_t n_cells;                /* read so far */
    const char *class_name, *name; /* of the layer that is being read, for messages; NULL: none */
};

/* A JSON pointer: path, a slash, and more. */
struct keras_path {
    char text[KERAS_PATH_BYTES + 80];
};
struct keras_path keras_path(const char *path, const char *more);

/* The class_name of a serialized object without a "package>" before it, or NULL. */
const char *keras_class_name(const json_t *object);

/* "expected …, found …" at path (and key, if not NULL). */
void keras_expected(const struct keras_reader *reader, const char *path, const char *key, const char *expected,
                    const json_t *found);

/* A problem at path in words of its own; an error also names the layer that is being read. All errors of a reader go through these two functions. */
void keras_error(const struct keras_reader *reader, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void keras_warning(const struct keras_reader *reader, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Keys of a config. Where one is left out or null, *out stays. */
void keras_bool(const struct keras_reader *reader, const json_t *config, const char *path, const char *key, bool *out);
void keras_number(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                  double *out);

/* A whole number from 1 to most, which must be there. */
void keras_size(const struct keras_reader *reader, const json_t *config, const char *path, const char *key, size_t most,
                size_t *out);

/* The name in config, "" without one; cut to size. */
void keras_name(const json_t *config, char *out, size_t size);

/* Other floating-point types are computed in float32, with a warning; what is quantized is an error.
   What was trained with LoRA is a warning. */
void keras_dtype(const struct keras_reader *reader, const json_t *config, const char *path);

/* Keys that are in neither list nor among those of Keras that change nothing at inference are errors: what they ask for
   would not be done. Those that are null say nothing; false is a warning. Lists end with NULL. */
void keras_check_keys(const struct keras_reader *reader, const json_t *config, const char *path,
                      const char *const *first, const char *const *second);

#endif
