/* Converts Keras's serialized activations and initializers to core's. */
#ifndef CONFIG_KERAS_OBJECTS_H
#define CONFIG_KERAS_OBJECTS_H

#include "core/activation.h"
#include "core/initializer.h"
#include "json.h"

/* An activation: null, a name, {"class_name": "function", "config": name}, or a layer object such as {"class_name":
   "LeakyReLU", "config": {"alpha": 0.1}}. Problems are added; then *out stays unchanged. */
void keras_activation(const struct keras_reader *reader, const json_t *value, const char *path, struct activation *out);

/* An initializer: a name, or {"class_name": "GlorotUniform", "config": {…}}. */
void keras_initializer(const struct keras_reader *reader, const json_t *value, const char *path,
                       struct initializer *out);

/* Read the initializer under a key of a config. If it is missing or null, *out stays unchanged. */
void keras_initializer_key(const struct keras_reader *reader, const json_t *config, const char *path, const char *key,
                           struct initializer *out);

#endif
