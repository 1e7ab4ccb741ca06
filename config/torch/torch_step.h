/* What the readers of PyTorch's modules share: arguments, tensors, and Keras's layers that are added. */
#ifndef CONFIG_TORCH_TORCH_STEP_H
#define CONFIG_TORCH_TORCH_STEP_H

#include "torch_steps.h"

enum { TORCH_STEP_NAME_BYTES = 200 };

/* A module's name, "" without one. */
const char *torch_step_name(const json_t *module);

/* A number of 0 or more; else 0 with a problem. */
double torch_step_number(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *key);

/* The same, a whole number. */
size_t torch_step_size(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *key);

/* Whether an argument is this text. */
bool torch_step_is(const struct torch_kind *kind, const json_t *module, const char *key, const char *text);

/* An argument whose other values than the default are not served. */
void torch_step_must_be(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *key,
                        const char *expected);

/* An argument that the tensors say, where it is given, too. */
void torch_step_agrees(struct torch_steps *s, const json_t *module, const char *key, size_t value);

/* A tensor that must be there, with so many axes and none of them empty. */
const struct named_tensor *torch_step_tensor(struct torch_steps *s, const json_t *module, const char *name,
                                             size_t rank);

/* The index of the next layer, as tensors' names count it: the input is not counted. */
size_t torch_step_next(const struct torch_steps *s);

/* Add a layer; config is taken, and given back for what is added to it. */
json_t *torch_step_add(struct torch_steps *s, const char *class_name, const char *name, json_t *config);

/* "layers.3.kernel" */
const char *torch_step_weights(const struct torch_steps *s, const char *name, char out[TORCH_STEP_NAME_BYTES]);

/* Whether the width that a module takes is the one that comes to it; else a problem. */
bool torch_step_takes(struct torch_steps *s, size_t width);

/* Modules that compute on the last axis, features; else a problem. */
bool torch_step_features_last(struct torch_steps *s);

/* Modules that take [batch, channels, timesteps]; else a problem. */
bool torch_step_channels_first(struct torch_steps *s, const char *class_name);

/* Modules of one role each. */
void torch_add_recurrent(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_linear(struct torch_steps *s, const json_t *module);
void torch_add_embedding(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_batch_norm(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_layer_norm(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_conv(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);
void torch_add_pool(struct torch_steps *s, const struct torch_kind *kind, const json_t *module);

#endif
