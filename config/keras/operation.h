/* Operations that Keras writes as layers: TFOpLambda and SlicingOpLambda of Keras 2, operation nodes of Keras 3. */
#ifndef CONFIG_KERAS_OPERATION_H
#define CONFIG_KERAS_OPERATION_H

#include "call.h"
#include "model.h"

/* Whether an element of a model's list of layers is an operation. */
bool keras_is_operation(const json_t *json);

/**
 * Convert one use of an operation to layers and nodes of out->model.
 *
 * use      of its inbound_nodes.
 * value    gives the value of a tensor that the use names; GRAPH_NONE with a problem added.
 * outputs  [GRAPH_MAX_INPUTS] gets the values that it gives, *n how many.
 * False with a problem.
 */
bool keras_operation_read(struct keras_reader *reader, const json_t *json, const json_t *use, const char *path,
                          struct keras_model *out, size_t (*value)(void *context, const struct keras_tensor *tensor),
                          void *context, size_t *outputs, size_t *n);

/* A cast to whole numbers before an Embedding has no effect, because an Embedding takes whole numbers. Such casts
   become identities, so that the input is known to have ids. */
void keras_operation_ids(struct graph *graph);

#endif
