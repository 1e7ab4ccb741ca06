/* Values of pickles: memory and access. */
#include "pickle_machine.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_VALUES = 1 << 22, FIRST_CHUNK = 4096, LARGEST_CHUNK = 1 << 20 };
static const size_t max_memory = (size_t)512 << 20;

/* All memory is freed at once. */
struct pickle_chunk {
    struct pickle_chunk *next;
    size_t room, used;
    max_align_t memory[];
};

bool pickle_fail(struct pickle *pickle, const char *format, ...)
{
    if (pickle->error[0])
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(pickle->error, sizeof pickle->error, format, args);
    va_end(args);
    return false;
}

void *pickle_alloc(struct pickle *pickle, size_t bytes)
{
    struct pickle_chunk *chunk = pickle->chunks;
    const size_t align = _Alignof(max_align_t);
    if (bytes > max_memory - pickle->memory) {
        pickle_fail(pickle, "its pickle needs more than %zu MiB of memory", max_memory >> 20);
        return NULL;
    }
    bytes = bytes ? (bytes + align - 1) / align * align : align;
    if (!chunk || bytes > chunk->room - chunk->used) {
        size_t room = chunk ? 2 * chunk->room : FIRST_CHUNK;
        room = room > LARGEST_CHUNK ? LARGEST_CHUNK : room;
        room = room < bytes ? bytes : room;
        if (!(chunk = malloc(sizeof *chunk + room))) {
            pickle_fail(pickle, "out of memory");
            return NULL;
        }
        *chunk = (struct pickle_chunk){.next = pickle->chunks, .room = room};
        pickle->chunks = chunk;
        pickle->memory += room;
        if (pickle->memory > max_memory)
            pickle->memory = max_memory;
    }
    chunk->used += bytes;
    return (unsigned char *)chunk->memory + chunk->used - bytes;
}

void pickle_close(struct pickle *pickle)
{
    while (pickle->chunks) {
        struct pickle_chunk *next = pickle->chunks->next;
        free(pickle->chunks);
        pickle->chunks = next;
    }
    *pickle = (struct pickle){.value = NULL};
}

struct pickle_value *pickle_new(struct pickle *pickle, enum pickle_kind kind)
{
    struct pickle_value *value = pickle_alloc(pickle, sizeof *value);
    if (value && pickle->values++ == MAX_VALUES) {
        pickle_fail(pickle, "its pickle has more than %d values", MAX_VALUES);
        return NULL;
    }
    if (value)
        *value = (struct pickle_value){.kind = kind};
    return value;
}

struct pickle_value *pickle_new_text(struct pickle *pickle, enum pickle_kind kind, const char *text, size_t bytes)
{
    struct pickle_value *value = pickle_new(pickle, kind);
    bool stays = kind == PICKLE_BYTES || kind == PICKLE_BIG_INT;
    char *copy = value && !stays ? pickle_alloc(pickle, bytes + 1) : NULL;
    if (!value || (!stays && !copy))
        return NULL;
    if (copy) {
        memcpy(copy, text, bytes);
        copy[bytes] = 0;
    }
    value->text = stays ? text : copy;
    value->bytes = bytes;
    return value;
}

bool pickle_append(struct pickle *pickle, struct pickle_value *container, struct pickle_value *member)
{
    if (container->n == container->room) {
        size_t room = container->room ? 2 * container->room : 8;
        struct pickle_value **grown = pickle_alloc(pickle, room * sizeof *grown);
        if (!grown)
            return false;
        if (container->n)
            memcpy(grown, container->members, container->n * sizeof *grown);
        container->members = grown;
        container->room = room;
    }
    container->members[container->n++] = member;
    return true;
}

/* ---- looking into values ---- */

bool pickle_is(const struct pickle_value *value, const char *text)
{
    return value && (value->kind == PICKLE_TEXT || value->kind == PICKLE_NAME) && value->bytes == strlen(text) &&
           !memcmp(value->text, text, value->bytes);
}

bool pickle_is_object(const struct pickle_value *value, const char *class_name)
{
    return value && value->kind == PICKLE_OBJECT && pickle_is(value->class, class_name);
}

const struct pickle_value *pickle_get(const struct pickle_value *value, const char *key)
{
    if (value && value->kind == PICKLE_OBJECT)
        value = value->state;
    for (size_t i = value && value->kind == PICKLE_DICT ? value->n / 2 : 0;
         i-- > 0;) /* if keys are equal, the last one counts */
        if (pickle_is(value->members[2 * i], key))
            return value->members[2 * i + 1];
    return NULL;
}

const struct pickle_value *pickle_at(const struct pickle_value *value, size_t i)
{
    bool has = value && (value->kind == PICKLE_TUPLE || value->kind == PICKLE_LIST || value->kind == PICKLE_SET);
    return has && i < value->n ? value->members[i] : NULL;
}

bool pickle_number(const struct pickle_value *value, double *out)
{
    struct pickle_array array;
    if (!value)
        return false;
    if (value->kind == PICKLE_INT || value->kind == PICKLE_BOOL)
        *out = (double)value->integer;
    else if (value->kind == PICKLE_FLOAT)
        *out = value->real;
    else if (pickle_is_array(value) && !pickle_array_read(value, &array) && array.elements == 1 &&
             strchr("fiub", array.type))
        *out = pickle_array_number(&array, 0);
    else
        return false;
    return true;
}

bool pickle_size(const struct pickle_value *value, size_t *out)
{
    if (!value || value->kind != PICKLE_INT || value->integer < 0)
        return false;
    *out = (size_t)value->integer;
    return true;
}
