/* Functions that the readers of PyTorch's modules share: for arguments, for tensors, and to add Keras's layers. */
#ifndef CONFIG_TORCH_TORCH_STEP_H
#define CONFIG_TORCH_TORCH_STEP_H

#include "torch_steps.h"

enum { TORCH_STEP_NAME_BYTES = 200 };

/* A module's name, or "". */
const char *torch_step_name(const json_t *module);

/* A number of at least 0; otherwise 0 with a problem added. */
double torch_step_number(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *key);

/* The same, a whole number. */
size_t torch_step_size(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *key);

/* Whether an argument is the given text. */
bool torch_step_is(const struct torch_kind *kind, const json_t *module, const char *key, const char *text);

/* Check an argument of which only the default is supported. */
void torch_step_must_be(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *key,
                        const char *expected);

/* Check an argument that follows from the tensors, if it is given. */
void torch_step_agrees(struct torch_steps *s, const json_t *module, const char *key, size_t value);

/* A required tensor with the given number of axes, none of them empty. */
const struct named_tensor *torch_step_tensor(struct torch_steps *s, const json_t *module, const char *name,
                                             size_t rank);

/* The index of the next layer in the names of tensors, which do not count the input. */
size_t torch_step_next(const struct torch_steps *s);

/* Add a layer, and take ownership of config. Returns config, so that the caller can add keys. */
json_t *torch_step_add(struct torch_steps *s, const char *class_name, const char *name, json_t *config);

/* "layers.3.kernel" */
const char *torch_step_weights(const struct torch_steps *s, const char *name, char out[TORCH_STEP_NAME_BYTES]);

/* Whether the input width of a module equals the width of the previous output. If not, adds a problem. */
bool torch_step_takes(struct torch_steps *s, size_t width);

/* Whether the layout fits modules that compute on the last axis, features. If not, adds a problem. */
bool torch_step_features_last(struct torch_steps *s);

/* Whether the layout fits modules that take [batch, channels, timesteps]. If not, adds a problem. */
bool torch_step_channels_first(struct torch_steps *s, const char *class_name);

/* Readers of modules, one for each role. */
void torch_add_recurrent(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_linear(struct torch_steps *s, const json_t *module);
void torch_add_embedding(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_batch_norm(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_layer_norm(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_conv(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_pool(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);

#endif
