/* What goes into a model: the shapes that its configuration states, and which inputs are ids for an Embedding. */
#ifndef CONFIG_KERAS_INPUT_SHAPE_H
#define CONFIG_KERAS_INPUT_SHAPE_H

#include "json.h"

#include "core/graph.h"

/* The shape that an InputLayer states. */
void keras_input_shape(const struct keras_reader *reader, const json_t *json, const char *path,
                       struct layer_shape *out);

/* That of a Sequential model: of its InputLayer, its first layer or the model itself; a sequence of vectors of unknown
   width where none says it. path is that of the list of layers. */
void keras_sequential_shape(const struct keras_reader *reader, const json_t *json, const json_t *layers,
                            const char *path, struct layer_shape *out);

/* That of a lone layer, for any number of timesteps. */
void keras_lone_shape(const struct keras_reader *reader, const json_t *json, const char *path, struct layer_shape *out);

/* Inputs that an Embedding takes are ids. */
void keras_find_ids(struct graph *graph);

#endif
