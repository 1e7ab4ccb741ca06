/* Sequential and Functional models, also within each other: layers are read, and wired into a graph. */
#ifndef CONFIG_KERAS_FUNCTIONAL_H
#define CONFIG_KERAS_FUNCTIONAL_H

#include "model.h"

/* Whether a class is a model of layers. */
bool keras_is_model(const char *class_name);

/* Read a Sequential or Functional model into out->model, with its inputs and outputs. Problems are added. */
void keras_functional_read(struct keras_reader *reader, const json_t *json, const char *path, struct keras_model *out);

/* Read the layer or model inside a TimeDistributed: a graph of one input, whose shape is not known yet, and one output.
   Problems are added. */
void keras_inner_read(struct keras_reader *reader, const json_t *json, const char *path, struct keras_model *out);

#endif
