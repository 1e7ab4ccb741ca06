/* The uses of a layer in a Functional model (its inbound_nodes): which tensors it takes there, and with which
   arguments. */
#ifndef CONFIG_KERAS_CALL_H
#define CONFIG_KERAS_CALL_H

#include "json.h"

#include <stddef.h>

enum { CALL_MAX_TENSORS = 64, CALL_MAX_MASKS = 3 };

/* A tensor that a layer gives: which use of the layer, and which of the tensors that it gives there. */
struct keras_tensor {
    const char *layer;
    size_t use, tensor;
};

/* One use of a layer. Text belongs to the JSON. */
struct keras_call {
    struct keras_tensor inputs[CALL_MAX_TENSORS], states[CALL_MAX_TENSORS];
    size_t n_inputs, n_states;
    struct keras_tensor masks[CALL_MAX_MASKS], attention_mask; /* masks: of the first inputs, where masked */
    bool masked[CALL_MAX_MASKS], has_attention_mask;
    bool masks_given;     /* mask is said: inputs without one in it have none */
    bool causal;          /* use_causal_mask */
    bool scores;          /* return_attention_scores */
    const char *argument; /* an argument that would change what it computes, and is not served; NULL: none */
};

/* The tensor that a reference [name, use, tensor, …] or a __keras_tensor__ names; false for anything else. */
bool keras_tensor_read(const json_t *json, struct keras_tensor *out);

/* One of inbound_nodes. `recurrent`: further positional tensors are initial states. */
void keras_call_read(const json_t *node, bool recurrent, struct keras_call *out);

/* The i-th tensor that is named anywhere in the JSON of a use, also among its arguments; false past the last. */
bool keras_call_tensor(const json_t *node, size_t i, struct keras_tensor *out);

#endif
