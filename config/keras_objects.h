/* Keras's serialized activations and initializers become core's. */
#ifndef CONFIG_KERAS_OBJECTS_H
#define CONFIG_KERAS_OBJECTS_H

#include "core/activation.h"
#include "core/initializer.h"
#include "problems.h"

#include <jansson.h>

/* What all readers of one file share. */
struct keras_reader {
    const char *file;
    int keras_major; /* 2 or 3: hard_sigmoid differs */
    struct problems *problems;
};

/* An activation: null, a name, {"class_name": "function", "config": name}, or a layer object such as
   {"class_name": "LeakyReLU", "config": {"alpha": 0.1}}. On a problem it is added, and *out stays. */
void keras_activation(const struct keras_reader *reader, const json_t *value, const char *path, struct activation *out);

/* An initializer: a name, or {"class_name": "GlorotUniform", "config": {…}}. */
void keras_initializer(const struct keras_reader *reader, const json_t *value, const char *path,
                       struct initializer *out);

/* The class_name of a serialized object without a "package>" before it, or NULL. */
const char *keras_class_name(const json_t *object);

#endif
