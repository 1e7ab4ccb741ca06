/* States that a model passes through an input and an output. */
#ifndef CONFIG_ONNX_STATES_H
#define CONFIG_ONNX_STATES_H

#include "call.h"

/**
 * Find the recurrent nodes whose initial states are a state input, or parts of one, and whose final states are the output
 * of the same pair, at the same places. Their states are those that a row carries anyway.
 *
 * states  {INPUT: OUTPUT}.
 * tied    an object that gets the first named output of each such node.
 *
 * True where every number of every state is one of these nodes'. False where the graph does other things with a state, or
 * memory is short (call->c->reader.failed).
 */
bool onnx_tie_states(struct onnx_call *call, const json_t *states, json_t *tied);

#endif
