/* The parts of the pickle reader between its files: memory, values, and the closed list of names. */
#ifndef CONFIG_FILES_PICKLE_MACHINE_H
#define CONFIG_FILES_PICKLE_MACHINE_H

#include "pickle.h"

/* Allocate memory that pickle_close frees. Returns NULL with the error set. */
void *pickle_alloc(struct pickle *pickle, size_t bytes);

/* Set the error, unless one is set already. Returns false. */
bool pickle_fail(struct pickle *pickle, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct pickle_value *pickle_new(struct pickle *pickle, enum pickle_kind kind);

/* A text (copied, followed by 0) or bytes (not copied). */
struct pickle_value *pickle_new_text(struct pickle *pickle, enum pickle_kind kind, const char *text, size_t bytes);

/* Append a value to a container. */
bool pickle_append(struct pickle *pickle, struct pickle_value *container, struct pickle_value *member);

/* The name of a module's member, as PICKLE_NAME. */
struct pickle_value *pickle_new_name(struct pickle *pickle, const char *module, size_t module_bytes, const char *name,
                                     size_t bytes);

/* The result of a call, if its name is on the closed list. Otherwise NULL with an error that names the call. */
struct pickle_value *pickle_call(struct pickle *pickle, struct pickle_value *called, struct pickle_value *args);

/* An instance of a class, as __new__ would make it. NULL with an error if instances of this class are not data. */
struct pickle_value *pickle_instance(struct pickle *pickle, struct pickle_value *class, struct pickle_value *args);

/* Type, width and byte order of a numpy.dtype. Returns NULL, or the error. */
const char *pickle_dtype_read(const struct pickle_value *dtype, struct pickle_array *out);

/* Convert a tuple of sizes to a shape. Returns NULL, or the error. */
const char *pickle_shape_read(const struct pickle_value *shape, struct pickle_array *out);

#endif
