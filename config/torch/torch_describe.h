/* A first model.json for PyTorch's weights. */
#ifndef CONFIG_TORCH_TORCH_DESCRIBE_H
#define CONFIG_TORCH_TORCH_DESCRIBE_H

#include "config/files/tensors.h"

/**
 * {"class_name": "torch.nn.Sequential", "modules": […], "unchecked": [sentence, …]} of the names and shapes of a state
 * dict, or of the tree of modules where the file has one (metadata "torch").
 *
 * What a file cannot say is guessed, and every guess is a sentence in "unchecked"; a model.json with that key is not
 * served. Without guesses there is no such key: of a lone recurrent module and of a whole nn.Sequential, whose forward
 * is known. NULL when memory is short.
 */
json_t *torch_describe(const struct tensor_set *set);

#endif
