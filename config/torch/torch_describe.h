/* Makes a draft of model.json for PyTorch's weights. */
#ifndef CONFIG_TORCH_TORCH_DESCRIBE_H
#define CONFIG_TORCH_TORCH_DESCRIBE_H

#include "config/files/tensors.h"

/**
 * {"class_name": "torch.nn.Sequential", "modules": […], "unchecked": [sentence, …]} from the names and shapes of a
 * state dict, or from the tree of modules if the file has one (metadata "torch").
 *
 * Data that the file does not contain is guessed. Every guess is a sentence in "unchecked", and a model.json with this
 * key is not served. Without guesses there is no such key: for a single recurrent module and for a whole nn.Sequential,
 * whose forward() is known. Returns NULL if out of memory.
 */
json_t *torch_describe(const struct tensor_set *set);

#endif
