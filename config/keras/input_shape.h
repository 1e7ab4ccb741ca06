/* The inputs of a model: their declared shapes, and which inputs are ids for an Embedding. */
#ifndef CONFIG_KERAS_INPUT_SHAPE_H
#define CONFIG_KERAS_INPUT_SHAPE_H

#include "json.h"

#include "core/graph.h"

/* The declared shape of an InputLayer. */
void keras_input_shape(const struct keras_reader *reader, const json_t *json, const char *path,
                       struct layer_shape *out);

/* The input shape of a Sequential model: that of its InputLayer, its first layer or the model itself. If none declares
   it, a sequence of vectors of unknown width. path is the path of the list of layers. */
void keras_sequential_shape(const struct keras_reader *reader, const json_t *json, const json_t *layers,
                            const char *path, struct layer_shape *out);

/* The input shape of a single layer, for any number of timesteps. */
void keras_lone_shape(const struct keras_reader *reader, const json_t *json, const char *path, struct layer_shape *out);

/* Mark the inputs of Embedding layers as ids. */
void keras_find_ids(struct graph *graph);

#endif
