/* A graph that carries its states through inputs and outputs is a cell: one call of it is one timestep. */
#ifndef CONFIG_ONNX_STEPPING_H
#define CONFIG_ONNX_STEPPING_H

#include "call.h"

/* Turn the graph that was converted, whose last n_states inputs and outputs are states, into one layer that runs it for each
   timestep. False with a problem. */
bool onnx_step(struct onnx_call *call, size_t n_states);

#endif
