/* The parts of the pickle reader between its files: memory, values, and the closed list of names. */
#ifndef CONFIG_FILES_PICKLE_MACHINE_H
#define CONFIG_FILES_PICKLE_MACHINE_H

#include "pickle.h"

/* Memory of the pickle's, or NULL with the error set. */
void *pickle_alloc(struct pickle *pickle, size_t bytes);

/* Set the error; the first one stays. Returns false. */
bool pickle_fail(struct pickle *pickle, const char *format, ...) __attribute__((format(printf, 2, 3)));

struct pickle_value *pickle_new(struct pickle *pickle, enum pickle_kind kind);

/* Text (copied, with a 0 behind it) or bytes (which stay where they are). */
struct pickle_value *pickle_new_text(struct pickle *pickle, enum pickle_kind kind, const char *text, size_t bytes);

/* Put a value at the end of a container. */
bool pickle_append(struct pickle *pickle, struct pickle_value *container, struct pickle_value *member);

/* The name of a module's member, as PICKLE_NAME. */
struct pickle_value *pickle_new_name(struct pickle *pickle, const char *module, size_t module_bytes, const char *name,
                                     size_t bytes);

/* What a call would give, if its name is on the closed list; else NULL with an error that names it. */
struct pickle_value *pickle_call(struct pickle *pickle, struct pickle_value *called, struct pickle_value *args);

/* An instance of a class, as __new__ would make it; NULL with an error where no instance of the name is data. */
struct pickle_value *pickle_instance(struct pickle *pickle, struct pickle_value *class, struct pickle_value *args);

/* Type, width and byte order of a numpy.dtype. NULL, or what is wrong. */
const char *pickle_dtype_read(const struct pickle_value *dtype, struct pickle_array *out);

/* A tuple of sizes as a shape. NULL, or what is wrong. */
const char *pickle_shape_read(const struct pickle_value *shape, struct pickle_array *out);

#endif
