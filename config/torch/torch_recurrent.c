/* Converts LSTM, GRU, RNN and their cells to Keras's layers. */
#include "torch_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LAYERS = 128 };

/* ---- recurrent modules ---- */

static const struct recurrent {
    const char *name, *layer, *cell;
    struct torch_gates gates;
} recurrents[] = {
    {"LSTM", "LSTM", "LSTMCell", {4, {0, 1, 2, 3}, false}}, /* i f g o = i f c o */
    {"GRU", "GRU", "GRUCell", {3, {1, 0, 2}, true}},        /* r z n to z r h */
    {"RNN", "SimpleRNN", "SimpleRNNCell", {1, {0}, false}},
};

static const struct recurrent *recurrent_of(const struct torch_kind *kind)
{
    size_t i = 0;
    while (strncmp(recurrents[i].name, kind->name, strlen(recurrents[i].name)) != 0)
        i++;
    return &recurrents[i];
}

/* The properties of a recurrent module that follow from its tensors. */
struct shape {
    size_t width, hidden, projected, layers;
    bool bias, both;
};

static json_t *cell_config(const struct torch_kind *kind, const json_t *module, const struct shape *shape)
{
    json_t *config = json_pack("{s:I, s:b}", "units", (json_int_t)shape->hidden, "use_bias", shape->bias);
    if (!strncmp(kind->name, "GRU", 3))
        json_object_set_new(config, "reset_after", json_true());
    if (!strncmp(kind->name, "RNN", 3))
        json_object_set_new(config, "activation",
                            json_string(torch_step_is(kind, module, "nonlinearity", "relu") ? "relu" : "tanh"));
    return config;
}

static bool read_shape(struct torch_steps *s, const struct torch_kind *kind, const json_t *module, const char *suffix,
                       struct shape *out)
{
    char name[40], bias[40];
    snprintf(name, sizeof name, "weight_ih%s", suffix);
    snprintf(bias, sizeof bias, "bias_ih%s", suffix);
    const struct named_tensor *ih = torch_step_tensor(s, module, name, 2);
    size_t gates = recurrent_of(kind)->gates.n;
    if (!ih)
        return false;
    *out = (struct shape){.width = ih->shape[1], .hidden = ih->shape[0] / gates, .layers = 1};
    out->bias = torch_weights_find(s->weights, torch_step_name(module), bias);
    out->both = *suffix && torch_weights_find(s->weights, torch_step_name(module), "weight_ih_l0_reverse");
    for (; *suffix && out->layers <= MAX_LAYERS; out->layers++) {
        snprintf(name, sizeof name, "weight_ih_l%zu", out->layers);
        if (!torch_weights_find(s->weights, torch_step_name(module), name))
            break;
    }
    if (ih->shape[0] % gates || out->layers > MAX_LAYERS)
        keras_error(&s->reader, s->path, "%s has %zu gates; the %zu rows of its weight_ih%s are no multiple of that",
                    kind->name, gates, ih->shape[0], suffix);
    const struct named_tensor *hr =
        *suffix ? torch_weights_find(s->weights, torch_step_name(module), "weight_hr_l0") : NULL;
    if (hr && (hr->rank != 2 || !hr->shape[0] || gates != 4))
        keras_error(&s->reader, s->path, "its weight_hr_l0 is no projection of an LSTM");
    else if (hr)
        out->projected = hr->shape[0];
    torch_step_agrees(s, module, "input_size", out->width);
    torch_step_agrees(s, module, "hidden_size", out->hidden);
    torch_step_agrees(s, module, "num_layers", out->layers);
    torch_step_agrees(s, module, "bias", out->bias);
    torch_step_agrees(s, module, "bidirectional", out->both);
    torch_step_agrees(s, module, "proj_size", out->projected);
    if (!strncmp(kind->name, "RNN", 3) && !torch_step_is(kind, module, "nonlinearity", "relu"))
        torch_step_must_be(s, kind, module, "nonlinearity", "\"tanh\" or \"relu\"");
    return torch_step_features_last(s) && torch_step_takes(s, out->width) && !*s->reader.failed;
}

static struct torch_cell cell_of(const struct torch_kind *kind, const json_t *module, const struct shape *shape,
                                 size_t width, const char *suffix)
{
    return (struct torch_cell){.prefix = torch_step_name(module),
                               .suffix = suffix,
                               .gates = recurrent_of(kind)->gates,
                               .width = width,
                               .hidden = shape->hidden,
                               .projected = shape->projected,
                               .bias = shape->bias};
}

/* The config that has return_sequences, after a recurrent layer and the layers that belong to it. */
static void note_recurrent(struct torch_steps *s, const json_t *module, const struct shape *shape,
                           const struct torch_cell *cells, size_t directions, json_t *config)
{
    char to[TORCH_STEP_NAME_BYTES];
    s->width = directions * shape->hidden;
    if (cells && shape->projected) {
        s->width = directions * shape->projected;
        torch_weights_projection(s->weights, cells, directions, torch_step_weights(s, "kernel", to));
        torch_step_add(s, "Dense", torch_step_name(module),
                       json_pack("{s:I, s:b}", "units", (json_int_t)s->width, "use_bias", 0));
    }
    s->recurrent = config;
    s->two_directions = directions == 2;
}

/* One layer of one or both directions. */
static void add_layer_of(struct torch_steps *s, const struct torch_kind *kind, const json_t *module,
                         const struct shape *shape, const char *const suffixes[2])
{
    static const char *const sides[] = {"forward.", "backward."};
    const struct recurrent *own = recurrent_of(kind);
    struct torch_cell cells[2];
    char path[64];
    json_t *config = cell_config(kind, module, shape);
    size_t directions = shape->both ? 2 : 1;
    for (size_t d = 0; d < directions; d++) {
        cells[d] = cell_of(kind, module, shape, s->width, suffixes[d]);
        snprintf(path, sizeof path, "layers.%zu.%scells.0", torch_step_next(s), shape->both ? sides[d] : "");
        torch_weights_cell(s->weights, &cells[d], path);
    }
    json_object_set_new(config, "return_sequences", json_true());
    if (shape->both) {
        json_object_set_new(config, "name", json_string(kind->name));
        torch_step_add(s, "Bidirectional", torch_step_name(module),
                       json_pack("{s:s, s:{s:s, s:O}}", "merge_mode", "concat", "layer", "class_name", own->layer,
                                 "config", config));
        json_decref(config);
    } else {
        torch_step_add(s, own->layer, torch_step_name(module), config);
    }
    note_recurrent(s, module, shape, cells, directions, config);
}

/* Layers of one direction become one stack of cells. */
static void add_stack(struct torch_steps *s, const struct torch_kind *kind, const json_t *module,
                      const struct shape *shape)
{
    char path[64], suffix[40];
    json_t *cells = json_array();
    for (size_t k = 0; k < shape->layers; k++) {
        snprintf(path, sizeof path, "layers.%zu.cells.%zu", torch_step_next(s), k);
        snprintf(suffix, sizeof suffix, "_l%zu", k);
        const struct torch_cell cell = cell_of(kind, module, shape, k ? shape->hidden : shape->width, suffix);
        torch_weights_cell(s->weights, &cell, path);
        json_array_append_new(cells, json_pack("{s:s, s:o}", "class_name", recurrent_of(kind)->cell, "config",
                                               cell_config(kind, module, shape)));
    }
    json_t *config = json_pack("{s:{s:s, s:{s:o}}, s:b}", "cell", "class_name", "StackedRNNCells", "config", "cells",
                               cells, "return_sequences", 1);
    torch_step_add(s, "RNN", torch_step_name(module), config);
    note_recurrent(s, module, shape, NULL, 1, config);
}

void torch_add_recurrent(struct torch_steps *s, const struct torch_kind *kind, const json_t *module)
{
    struct shape shape;
    bool cell = kind->role == TORCH_CELL;
    if (!read_shape(s, kind, module, cell ? "" : "_l0", &shape))
        return;
    if (shape.layers > 1 && !shape.both && !shape.projected)
        add_stack(s, kind, module, &shape);
    else
        for (size_t k = 0; k < shape.layers && !*s->reader.failed; k++) {
            char forward[40] = "", backward[40];
            if (!cell)
                snprintf(forward, sizeof forward, "_l%zu", k);
            snprintf(backward, sizeof backward, "_l%zu_reverse", k);
            add_layer_of(s, kind, module, &shape, (const char *const[]){forward, backward});
        }
}
