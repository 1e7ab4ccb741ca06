/* Sequential and Functional models, which may be nested: reads the layers, and connects them to a graph. */
#ifndef CONFIG_KERAS_FUNCTIONAL_H
#define CONFIG_KERAS_FUNCTIONAL_H

#include "model.h"

/* Whether a class is a model of layers. */
bool keras_is_model(const char *class_name);

/* Read a Sequential or Functional model into out->model, with its inputs and outputs. Adds problems. */
void keras_functional_read(struct keras_reader *reader, const json_t *json, const char *path, struct keras_model *out);

/* Read the layer or model inside a TimeDistributed. The graph has one input, whose shape is not known yet, and one
   output. Adds problems. */
void keras_inner_read(struct keras_reader *reader, const json_t *json, const char *path, struct keras_model *out);

#endif
