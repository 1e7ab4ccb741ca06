/* The uses of a layer in a Functional model (its inbound_nodes): the input tensors and the arguments of each use. */
#ifndef CONFIG_KERAS_CALL_H
#define CONFIG_KERAS_CALL_H

#include "json.h"

#include <stddef.h>

enum { CALL_MAX_TENSORS = 64, CALL_MAX_MASKS = 3 };

/* An output tensor of a layer: the use of the layer, and the index of the output. */
struct keras_tensor {
    const char *layer;
    size_t use, tensor;
};

/* One use of a layer. Text belongs to the JSON. */
struct keras_call {
    struct keras_tensor inputs[CALL_MAX_TENSORS], states[CALL_MAX_TENSORS];
    size_t n_inputs, n_states;
    struct keras_tensor masks[CALL_MAX_MASKS], attention_mask; /* masks [i] is valid if masked [i] */
    bool masked[CALL_MAX_MASKS], has_attention_mask;
    bool masks_given;     /* the call has the argument `mask`: then inputs without an entry have no mask */
    bool causal;          /* use_causal_mask */
    bool scores;          /* return_attention_scores */
    const char *argument; /* an unsupported argument that would change the result, or NULL */
};

/* Read a reference to a tensor: [name, use, tensor, …] or a __keras_tensor__. Returns false for other values. */
bool keras_tensor_read(const json_t *json, struct keras_tensor *out);

/* Read one of inbound_nodes. If `recurrent`, positional tensors after the first are initial states. */
void keras_call_read(const json_t *node, bool recurrent, struct keras_call *out);

/* The i-th tensor in the JSON of a use, including its arguments. Returns false past the last. */
bool keras_call_tensor(const json_t *node, size_t i, struct keras_tensor *out);

#endif
