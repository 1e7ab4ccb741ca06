/* A graph that passes its states through inputs and outputs is a cell: one call is one timestep. */
#ifndef CONFIG_ONNX_STEPPING_H
#define CONFIG_ONNX_STEPPING_H

#include "call.h"

/* Replace the converted graph, whose last n_states inputs and outputs are states, by one layer that runs it for each
   timestep. Returns false with a problem added. */
bool onnx_step(struct onnx_call *call, size_t n_states);

#endif
