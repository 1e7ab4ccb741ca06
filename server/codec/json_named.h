/* Reads the tensors of a body by name. The model, and so its inputs, are known only after the body has been read. */
#ifndef SERVER_CODEC_JSON_NAMED_H
#define SERVER_CODEC_JSON_NAMED_H

#include "core/graph.h"
#include "json_reader.h"

/**
 * Read an object {"name": tensor, …} or, rows, a list of objects with a tensor of one row each.
 *
 * span     the value in the body, which is JSON.
 * key      its name, for messages.
 * type     BODY_VALUES or BODY_BOOLEANS. tensors [n_inputs of the graph], empty; those of names that are missing stay
 *          so.
 * If the graph has one input, any name means this input.
 * Returns false with *failure set.
 */
bool json_named_read(const struct json_body *body, struct body_span span, const char *key, enum body_key_type type,
                     const struct graph *graph, bool *rows, struct json_tensor *tensors, struct failure *failure);

#endif
