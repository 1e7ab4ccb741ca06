/* Inputs and outputs of a model, as its metadata lists them. */
#ifndef SERVER_API_MODEL_PORTS_H
#define SERVER_API_MODEL_PORTS_H

#include <jansson.h>

struct graph;

/* [{"name", "shape": [-1, …], "dtype", "vocabulary" of ids}, …]; -1 is any size. NULL when out of memory. */
json_t *model_inputs(const struct graph *graph);
json_t *model_outputs(const struct graph *graph);

#endif
