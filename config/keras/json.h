/* Reads the keys of Keras's serialized objects. Problems name the place. */
#ifndef CONFIG_KERAS_JSON_H
#define CONFIG_KERAS_JSON_H

#include "config/problems.h"

#include <jansson.h>

enum { KERAS_PATH_BYTES = 224 };

/* The state that all readers of one file share. */
struct keras_reader {
    const char *file;
    int keras_major; /* 2 or 3; hard_sigmoid depends on it */
    bool before_2_2; /* an old Keras, whose GRU has no reset_after and applies the reset gate before the product */
    struct problems *problems;
    bool *failed;                  /* every error sets it; then no layer may be built */
    size_t n_cells;                /* number of cells read so far */
    const char *class_name, *name; /* the name of the current layer, for messages; or NULL */
};

/* A JSON pointer: path, a slash, and more. */
struct keras_path {
    char text[KERAS_PATH_BYTES + 80];
};
struct keras_path keras_path(const char *path, const char *more);

/* The class_name of a serialized object without a "package>" before it, or NULL. */
const char *keras_class_name(const json_t *object);

/* Add the problem "expected …, found …" at path (and key, if not NULL). */
void keras_expected(const struct keras_reader *reader, const char *path, const char *key, const char *expected,
                    const json_t *found);

/* Add a problem at path with any text. An error also names the current layer. All errors of a reader use these two
   functions. */
void keras_error(const struct keras_reader *reader, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void keras_warning(const struct keras_reader *reader, const char *path, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Read a key of a config. If the key is missing or null, *out stays unchanged. */
void keras_bool(const struct keras_reader *reader, const json_t *config, const char *path, const char *key, bool *out);
void keras_number(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                  double *out);

/* A required whole number from 1 to most. */
void keras_size(const struct keras_reader *reader, const json_t *config, const char *path, const char *key, size_t most,
                size_t *out);

/* The name in config, or "", cut to size. */
void keras_name(const json_t *config, char *out, size_t size);

/* Check dtype and LoRA: other floating-point types are a warning, because the layer is computed in float32. Quantized
   layers are an error. LoRA is a warning. */
void keras_dtype(const struct keras_reader *reader, const json_t *config, const char *path);

/* Report unknown keys: keys that are in neither list and that may change the result at inference. They are errors,
   because cellserve does not compute them. A value of null is accepted, and false is a warning. Lists end with NULL. */
void keras_check_keys(const struct keras_reader *reader, const json_t *config, const char *path,
                      const char *const *first, const char *const *second);

#endif
