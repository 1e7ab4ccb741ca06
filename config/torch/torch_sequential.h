/* Converts a list of PyTorch's modules and joints to a Keras model that computes the same. */
#ifndef CONFIG_TORCH_TORCH_SEQUENTIAL_H
#define CONFIG_TORCH_TORCH_SEQUENTIAL_H

#include "config/files/tensors.h"
#include "config/keras/model.h"

/* Whether a configuration is {"class_name": "torch.nn.Sequential", …}. */
bool torch_sequential_is(const json_t *json);

/**
 * Layers and weights of Keras's kind.
 *
 * json  {"class_name": "torch.nn.Sequential", "modules": [{"name": "lstm", "class_name": "torch.nn.LSTM"}, "last_timestep",
 *       …], "timesteps": N (for Flatten, where nothing else says it)}. A module's name is the prefix of its tensors'
 *       names. Sizes follow from the tensors. Arguments are PyTorch's.
 * out, tensors: as torch_model_read.
 *
 * Requests have [batch, timesteps, features]. "permute" exchanges the last two axes, as x.permute(0, 2, 1) does:
 * Conv1d, MaxPool1d, AvgPool1d and a BatchNorm1d over channels take [batch, channels, timesteps], all other modules
 * take features last. A module in the wrong layout is an error, never a guess.
 */
bool torch_sequential_read(const json_t *json, const char *file, const struct tensor_set *from,
                           const char *weights_file, struct problems *problems, struct keras_model *out,
                           struct tensor_set *tensors);

#endif
