/* A hash table with open addressing; the values are in an array. */
#include "scope.h"

#include <stdlib.h>
#include <string.h>

struct onnx_named {
    const char *name;
    struct onnx_value value;
};

static size_t hash(const char *name)
{
    uint64_t h = 1469598103934665603U; /* FNV-1a */
    for (; *name; name++)
        h = (h ^ (unsigned char)*name) * 1099511628211U;
    return (size_t)(h ^ h >> 32);
}

/* The entry of a name, or the empty entry for it. */
static size_t place_of(const struct onnx_scope *scope, const char *name)
{
    size_t at = hash(name) % (2 * scope->room);
    while (scope->places[at] && strcmp(scope->named[scope->places[at] - 1].name, name) != 0)
        at = (at + 1) % (2 * scope->room);
    return at;
}

struct onnx_value *onnx_scope_find(const struct onnx_scope *scope, const char *name)
{
    size_t at = scope->room ? scope->places[place_of(scope, name)] : 0;
    return at ? &scope->named[at - 1].value : NULL;
}

static bool grow(struct onnx_scope *scope)
{
    size_t room = scope->room ? 2 * scope->room : 64;
    struct onnx_named *named = realloc(scope->named, room * sizeof *named);
    if (!named)
        return false;
    scope->named = named;
    size_t *places = calloc(2 * room, sizeof *places);
    if (!places)
        return false;
    free(scope->places);
    scope->places = places;
    scope->room = room;
    for (size_t i = 0; i < scope->n; i++)
        places[place_of(scope, named[i].name)] = i + 1;
    return true;
}

bool onnx_scope_set(struct onnx_scope *scope, const char *name, const struct onnx_value *value)
{
    if (scope->n == scope->room && !grow(scope))
        return false;
    size_t at = place_of(scope, name);
    if (!scope->places[at]) {
        scope->named[scope->n] = (struct onnx_named){.name = name};
        scope->places[at] = ++scope->n;
    }
    scope->named[scope->places[at] - 1].value = *value;
    return true;
}

void onnx_scope_close(struct onnx_scope *scope)
{
    free(scope->named);
    free(scope->places);
    *scope = (struct onnx_scope){.n = 0};
}
