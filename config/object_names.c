/* In a checkpoint, the objects of a layer have the names of the attributes in Keras 2. cellserve's names are
   shorter. */
#include "object_names.h"

#include "config/keras/operation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NAME_BYTES = 1024 };

/* The layers of a model; NULL for a single layer. */
static const json_t *layers_of(const json_t *model)
{
    const json_t *config = json_object_get(model, "config");
    return json_is_array(config) ? config : json_object_get(config, "layers");
}

/* Whether the new names do not count a layer: inputs, and operations that a Functional model writes as layers. */
static bool is_uncounted(const json_t *layer)
{
    const char *class_name = json_string_value(json_object_get(layer, "class_name"));
    return (class_name && !strcmp(class_name, "InputLayer")) || keras_is_operation(layer);
}

/* The number of a model's layer in the new names, and the layer itself. A Sequential model does not count its input layers
   among its objects, a Functional one does. */
static size_t new_number(const json_t *model, size_t number, const json_t **layer)
{
    const char *class_name = json_string_value(json_object_get(model, "class_name"));
    bool sequential = class_name && !strcmp(class_name, "Sequential");
    const json_t *layers = layers_of(model);
    size_t uncounted = 0, at = 0;
    for (size_t k = 0; k < json_array_size(layers); k++) {
        const json_t *each = json_array_get(layers, k);
        if (sequential && is_uncounted(each))
            continue;
        if (at++ == number) {
            *layer = each;
            break;
        }
        uncounted += is_uncounted(each);
    }
    return number - (uncounted < number ? uncounted : number);
}

/* The new name for one step of the path; "" if the new path leaves the step out. */
static const char *new_step(const char *step)
{
    static const char *const steps[][2] = {{"forward_layer", "forward"},
                                           {"backward_layer", "backward"},
                                           {"cell", ""},
                                           {"layer", ""},
                                           {"_query_dense", "query_dense"},
                                           {"_key_dense", "key_dense"},
                                           {"_value_dense", "value_dense"},
                                           {"_output_dense", "output_dense"}};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (!strcmp(steps[i][0], step))
            return steps[i][1];
    return step;
}

/* Whether the layer, or the layer that it wraps, is a ConvLSTM: its cell has no name of its own. */
static bool is_conv_lstm(const json_t *layer)
{
    for (; layer; layer = json_object_get(json_object_get(layer, "config"), "layer")) {
        const char *class_name = json_string_value(json_object_get(layer, "class_name"));
        if (class_name && !strncmp(class_name, "ConvLSTM", 8))
            return true;
    }
    return false;
}

/* Append the new name of a path below a layer to out. A single cell counts as the first cell of its layer. */
static void rename_way(char *way, const json_t *layer, char *out, size_t size)
{
    bool in_cell = false, in_cells = is_conv_lstm(layer);
    size_t n = strlen(out);
    for (char *step = way, *next; step; step = next) {
        next = strchr(step, '/');
        if (next)
            *next++ = 0;
        in_cells |= !strcmp(step, "cells");
        const char *renamed = new_step(step);
        if (in_cell && !in_cells && *renamed) {
            n += (size_t)snprintf(out + n, n < size ? size - n : 0, ".cells.0");
            in_cells = true;
        }
        in_cell |= !strcmp(step, "cell");
        if (*renamed && n < size)
            n += (size_t)snprintf(out + n, size - n, ".%s", renamed);
    }
}

/* "layer-1/layer-0/kernel" becomes "layers.1.layers.0.kernel". Returns the rest of the path below the layers, or NULL
   if the name is not such a path. *innermost becomes the last layer of the path. */
static char *rename_layers(char *way, const json_t *model, char *out, size_t size, const json_t **innermost)
{
    size_t n = 0;
    out[0] = 0;
    while (!strncmp(way, "layer-", 6) && n < size) {
        char *end;
        const json_t *layer = NULL;
        unsigned long number = strtoul(way + 6, &end, 10);
        if (end == way + 6 || *end != '/')
            return NULL;
        n += (size_t)snprintf(out + n, size - n, "%slayers.%zu", n ? "." : "", new_number(model, number, &layer));
        model = layer;
        way = end + 1;
    }
    *innermost = model;
    return n && n < size ? way : NULL;
}

bool object_names_replace(struct tensor_set *set, const json_t *model)
{
    for (size_t i = 0; i < set->n; i++) {
        char way[NAME_BYTES], name[NAME_BYTES];
        if (snprintf(way, sizeof way, "%s", set->tensors[i].name) >= NAME_BYTES)
            continue;
        const json_t *layer = NULL;
        char *below = rename_layers(way, model, name, sizeof name, &layer);
        if (!below)
            continue;
        rename_way(below, layer, name, sizeof name);
        char *copy = strdup(name);
        if (!copy)
            return false;
        free(set->tensors[i].name);
        set->tensors[i].name = copy;
    }
    return true;
}
