/* Converts PyTorch's nn.LSTM, nn.GRU and nn.RNN to Keras layers that compute the same. */
#ifndef CONFIG_TORCH_TORCH_MODEL_H
#define CONFIG_TORCH_TORCH_MODEL_H

#include "config/files/tensors.h"
#include "config/keras/model.h"

/* Whether a configuration is {"class_name": "torch.nn.LSTM", …}, or the same with GRU or RNN. */
bool torch_is(const json_t *json);

/**
 * Convert PyTorch's layers and weights to Keras's.
 *
 * json  {"class_name": "torch.nn.LSTM" | "torch.nn.GRU" | "torch.nn.RNN", "config": {PyTorch's arguments}, "head":
 *       {"class_name": "torch.nn.Linear", "name": "fc", "config": {…}, "apply": true}}; head is optional.
 * from  PyTorch's tensors: weight_ih_l0, … with one common prefix.
 * out   layers, configured; tensors: theirs, by path. Both are empty when false is returned, with problems added.
 *
 * Several layers in one direction become a stack of cells, each bidirectional layer a Bidirectional. Requests have the
 * batch first, whatever batch_first says. Source: the documentation of torch.nn.LSTM, GRU and RNN (gate order i f g o;
 * r z n; two biases).
 */
bool torch_model_read(const json_t *json, const char *file, const struct tensor_set *from, const char *weights_file,
                      struct problems *problems, struct keras_model *out, struct tensor_set *tensors);

#endif
