/* The first step from a model of layers to a graph: reads all layers in the order of the file, which is the order of
   the weights. */
#include "functional.h"
#include "operation.h"
#include "scope.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ENTRIES = 1024, MAX_USES = 256, MAX_DEPTH = 16 };

bool keras_is_model(const char *class_name)
{
    return class_name &&
           (!strcmp(class_name, "Sequential") || !strcmp(class_name, "Functional") || !strcmp(class_name, "Model"));
}

struct keras_path scope_entry_path(const struct scope *scope, const struct entry *entry)
{
    char index[24];
    snprintf(index, sizeof index, "%zu", (size_t)(entry - scope->entries));
    return keras_path(scope->path.text, index);
}

bool scope_refuse(const struct scope *scope, const struct entry *entry, const char *what, const char *other)
{
    keras_error(scope->reader, scope_entry_path(scope, entry).text, "layer \"%.60s\" %s%.60s",
                entry->name ? entry->name : "", what, other ? other : "");
    return false;
}

bool scope_out_of_memory(const struct scope *scope)
{
    keras_error(scope->reader, scope->path.text, "out of memory");
    return false;
}

static const char *layer_name(const json_t *layer)
{
    const char *name = json_string_value(json_object_get(layer, "name"));
    return name ? name : json_string_value(json_object_get(json_object_get(layer, "config"), "name"));
}

/* The group of entry i in Keras 3's weight files: its class, counted among the layers in order. */
static void group_name(const struct scope *scope, size_t i, char *out, size_t size)
{
    char snake[40], other[40];
    size_t before = 0;
    keras_snake_case(scope->entries[i].class_name, snake, sizeof snake);
    for (size_t k = 0; k < i; k++) {
        if (scope->entries[k].kind == ENTRY_OPERATION)
            continue;
        keras_snake_case(scope->entries[k].class_name, other, sizeof other);
        before += !strcmp(other, snake);
    }
    if (before)
        snprintf(out, size, "%s_%zu", snake, before);
    else
        snprintf(out, size, "%s", snake);
}

/* The place of the weights of entry i, below the place of its model. */
static struct keras_place place_of(const struct scope *scope, const struct keras_place *above, size_t i)
{
    struct keras_place place = {.top = scope->depth ? above->top : i, .nested = scope->depth > 0};
    const json_t *config = json_object_get(scope->entries[i].json, "config");
    char group[64];
    size_t index = 0;
    for (size_t k = 0; k < i; k++)
        index += scope->entries[k].kind != ENTRY_INPUT && scope->entries[k].kind != ENTRY_OPERATION;
    group_name(scope, i, group, sizeof group);
    snprintf(place.group, sizeof place.group, "%.150slayers/%.60s", above->group, group);
    snprintf(place.tensors, sizeof place.tensors, "%.70slayers.%zu.", above->tensors, index);
    place.frozen = above->frozen || json_is_false(json_object_get(config, "trainable"));
    return place;
}

static bool declare_model(struct scope *scope, struct entry *entry, struct keras_place *place)
{
    struct scope *inner = scope->depth < MAX_DEPTH ? calloc(1, sizeof *inner) : NULL;
    size_t n = strlen(place->group);
    if (!inner)
        return scope_refuse(scope, entry, "is nested too deep in other models, or memory is short", NULL);
    *inner = (struct scope){.reader = scope->reader, .out = scope->out, .json = entry->json, .depth = scope->depth + 1};
    entry->model = inner;
    inner->path = scope_entry_path(scope, entry);
    snprintf(place->group + n, sizeof place->group - n, "/");
    return scope_declare(inner, place);
}

static bool declare_layer(struct scope *scope, struct entry *entry, const struct keras_place *place)
{
    struct keras_path path = scope_entry_path(scope, entry);
    struct layer *layer = keras_model_add(scope->reader, path.text, scope->out, place);
    if (!layer)
        return false;
    entry->layer = scope->out->model.n_layers - 1;
    bool good = keras_layer_read(scope->reader, entry->json, path.text, layer);
    if (!layer->name[0])
        snprintf(layer->name, sizeof layer->name, "%.60s", entry->name ? entry->name : strrchr(place->group, '/') + 1);
    return good;
}

static enum entry_kind kind_of(const json_t *json, const char *class_name)
{
    if (!strcmp(class_name, "InputLayer"))
        return ENTRY_INPUT;
    if (keras_is_model(class_name))
        return ENTRY_MODEL;
    return keras_is_operation(json) ? ENTRY_OPERATION : ENTRY_LAYER;
}

static bool declare_entry(struct scope *scope, size_t i, const struct keras_place *above)
{
    struct entry *entry = &scope->entries[i];
    const json_t *inbound = json_object_get(entry->json, "inbound_nodes");
    struct keras_place place = place_of(scope, above, i);
    entry->n_uses = scope->sequential || entry->kind == ENTRY_INPUT ? 1 : json_array_size(inbound);
    if (entry->n_uses > MAX_USES)
        return scope_refuse(scope, entry, "is called too often", NULL);
    entry->uses = calloc(entry->n_uses + 1, sizeof *entry->uses);
    if (!entry->uses)
        return scope_out_of_memory(scope);
    for (size_t k = 0; k < entry->n_uses; k++)
        entry->uses[k].json = json_array_get(inbound, k);
    if (entry->kind == ENTRY_MODEL)
        return declare_model(scope, entry, &place);
    return entry->kind != ENTRY_LAYER || declare_layer(scope, entry, &place);
}

/* In old Sequential files, config itself is the list of layers. */
bool scope_declare(struct scope *scope, const struct keras_place *above)
{
    const json_t *config = json_object_get(scope->json, "config");
    bool bare = json_is_array(config), good = true;
    const char *class_name = keras_class_name(scope->json);
    scope->sequential = class_name && !strcmp(class_name, "Sequential");
    scope->layers = bare ? config : json_object_get(config, "layers");
    scope->path = keras_path(scope->path.text, bare ? "config" : "config/layers");
    size_t n = json_array_size(scope->layers);
    if (!n || n > MAX_ENTRIES) {
        keras_expected(scope->reader, scope->path.text, NULL, "a list of 1 to 1024 layers", scope->layers);
        return false;
    }
    scope->entries = calloc(n, sizeof *scope->entries);
    if (!scope->entries)
        return scope_out_of_memory(scope);
    scope->n = n;
    for (size_t i = 0; i < n; i++) {
        struct entry *entry = &scope->entries[i];
        entry->json = json_array_get(scope->layers, i);
        entry->name = layer_name(entry->json);
        entry->class_name = keras_class_name(entry->json);
        if (!entry->class_name) {
            keras_expected(scope->reader, scope_entry_path(scope, entry).text, NULL,
                           "an object with class_name and config", entry->json);
            return false;
        }
        entry->kind = kind_of(entry->json, entry->class_name);
    }
    for (size_t i = 0; i < n; i++)
        good &= declare_entry(scope, i, above);
    return good;
}

void scope_close(struct scope *scope)
{
    for (size_t i = 0; i < scope->n; i++) {
        struct entry *entry = &scope->entries[i];
        for (size_t k = 0; entry->uses && k < entry->n_uses; k++)
            free(entry->uses[k].values);
        free(entry->uses);
        if (entry->model) {
            scope_close(entry->model);
            free(entry->model);
        }
    }
    free(scope->entries);
}
