/* Modules and joints, by a table of roles. */
#include "torch_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- modules without weights ---- */

static void add_activation(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    json_t *config;
    if (!strcmp(kind->name, "GELU")) {
        if (!torch_step_is(kind, module, "approximate", "tanh"))
            torch_step_must_be(s, kind, module, "approximate", "\"none\" or \"tanh\"");
        config = json_pack("{s:{s:s, s:{s:b}}}", "activation", "class_name", "gelu", "config", "approximate",
                           torch_step_is(kind, module, "approximate", "tanh"));
    } else if (!strcmp(kind->name, "LeakyReLU")) {
        torch_step_add(s, "LeakyReLU", kind->name,
                       json_pack("{s:f}", "alpha", torch_step_number(s, kind, module, "negative_slope")));
        return;
    } else if (!strcmp(kind->name, "ELU")) {
        torch_step_add(s, "ELU", kind->name, json_pack("{s:f}", "alpha", torch_step_number(s, kind, module, "alpha")));
        return;
    } else {
        config = json_pack("{s:s}", "activation",
                           !strcmp(kind->name, "ReLU")   ? "relu"
                           : !strcmp(kind->name, "Tanh") ? "tanh"
                                                         : "sigmoid");
    }
    torch_step_add(s, "Activation", kind->name, config);
}

/* Only over features: dim 1 of [batch, features], dim 2 of [batch, timesteps, features]. */
static void add_softmax(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    json_t *dim = torch_argument_value(kind, module, "dim");
    json_int_t axis = json_is_integer(dim) ? json_integer_value(dim) : s->sequence ? 0 : 1; /* PyTorch's default */
    json_int_t features = s->channels_first ? 1 : s->sequence ? 2 : 1, rank = s->sequence ? 3 : 2;
    if (axis != features && axis != features - rank)
        keras_expected(&s->reader, s->path, "dim", s->sequence ? "the axis of the features (-1)" : "1 or -1", dim);
    json_decref(dim);
    torch_step_add(s, "Activation", kind->name,
                   json_pack("{s:s}", "activation", strcmp(kind->name, "Softmax") != 0 ? "log_softmax" : "softmax"));
}

static void add_flatten(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    torch_step_must_be(s, kind, module, "start_dim", "1");
    torch_step_must_be(s, kind, module, "end_dim", "-1");
    if (!s->sequence)
        return;
    if (!s->timesteps) {
        keras_error(&s->reader, s->path,
                    "the number of timesteps that it joins is not known; say \"timesteps\": N beside \"modules\"");
        return;
    }
    if (s->channels_first)
        torch_step_add(s, "Permute", "permute", json_pack("{s:[i, i]}", "dims", 2, 1));
    torch_step_add(s, "Flatten", "flatten", json_object());
    s->width *= s->timesteps;
    s->sequence = s->channels_first = false;
}

/* ---- joints ---- */

static void one_step(struct torch_steps *s, const char *layer, const char *joint)
{
    torch_step_add(s, layer, joint, json_object());
    s->sequence = s->channels_first = false;
}

void torch_steps_join(struct torch_steps *s, const char *joint)
{
    bool hidden = !strcmp(joint, "last_hidden"), last = !strcmp(joint, "last_timestep");
    bool known = false;
    for (size_t i = 0; torch_joints[i]; i++)
        known |= !strcmp(torch_joints[i], joint);
    if (!known) {
        char hint[80];
        keras_error(&s->reader, s->path, "\"%.60s\" is no joint%s", joint,
                    nearest_hint(joint, torch_joints, hint, sizeof hint));
    } else if (!s->sequence) {
        keras_error(&s->reader, s->path, "\"%s\" takes a sequence, and what comes to it is [batch, features]", joint);
    } else if (!strcmp(joint, "permute")) {
        s->channels_first = !s->channels_first;
    } else if (hidden && !s->recurrent) {
        keras_error(&s->reader, s->path, "\"last_hidden\" is h_n of a recurrent module; put it directly behind one");
    } else if (hidden || (last && s->recurrent && !s->two_directions && !s->channels_first)) {
        json_object_set_new(s->recurrent, "return_sequences", json_false());
        s->sequence = s->channels_first = false;
        s->recurrent = NULL;
    } else if (last && s->channels_first) {
        keras_error(&s->reader, s->path,
                    "x[:, -1] of [batch, channels, timesteps] is a channel; put \"permute\" before it");
    } else {
        one_step(s,
                 last                               ? "cellserve.last_timestep"
                 : !strcmp(joint, "mean_timesteps") ? "GlobalAveragePooling1D"
                                                    : "GlobalMaxPooling1D",
                 joint);
    }
}

/* ---- the table ---- */

size_t torch_steps_width_after(const struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    const char *name = torch_step_name(module);
    const struct named_tensor *hh =
        torch_weights_find(s->weights, name, kind->role == TORCH_CELL ? "weight_hh" : "weight_hh_l0");
    const struct named_tensor *weight = torch_weights_find(s->weights, name, "weight");
    if ((kind->role == TORCH_RECURRENT || kind->role == TORCH_CELL) && hh && hh->rank == 2)
        return hh->shape[1] * (torch_weights_find(s->weights, name, "weight_ih_l0_reverse") ? 2 : 1);
    if (!weight || weight->rank < 2)
        return 0;
    return kind->role == TORCH_EMBEDDING ? weight->shape[1] : weight->shape[0];
}

static void check_keys(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    const char *keys[TORCH_MAX_ARGUMENTS + 1] = {NULL};
    static const char *const own[] = {"name", "class_name", "device", NULL};
    for (size_t i = 0; i < TORCH_MAX_ARGUMENTS && kind->arguments[i].name; i++)
        keys[i] = kind->arguments[i].name;
    keras_check_keys(&s->reader, module, s->path, keys, own);
}

void torch_steps_module(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    check_keys(s, kind, module);
    switch (kind->role) {
    case TORCH_RECURRENT:
    case TORCH_CELL:
        torch_add_recurrent(s, kind, module);
        break;
    case TORCH_LINEAR:
        torch_add_linear(s, module);
        break;
    case TORCH_EMBEDDING:
        torch_add_embedding(s, kind, module);
        break;
    case TORCH_ACTIVATION:
        add_activation(s, kind, module);
        break;
    case TORCH_SOFTMAX:
        add_softmax(s, kind, module);
        break;
    case TORCH_BATCH_NORM:
        torch_add_batch_norm(s, kind, module);
        break;
    case TORCH_LAYER_NORM:
        torch_add_layer_norm(s, kind, module);
        break;
    case TORCH_CONV:
        torch_add_conv(s, kind, module);
        break;
    case TORCH_POOL:
        torch_add_pool(s, kind, module);
        break;
    case TORCH_FLATTEN:
        add_flatten(s, kind, module);
        break;
    case TORCH_NOTHING:
        break;
    }
}
