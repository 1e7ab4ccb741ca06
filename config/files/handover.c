/* Writes a safetensors file into shared memory, tensor by tensor. */
#include "handover.h"

#include "config/json_memory.h"
#include "core/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MAX_TENSORS = 65536, NAME_BYTES = 1024 };

bool handover_fail(struct handover *handover, const char *format, ...)
{
    if (handover->error[0])
        return false;
    va_list args;
    va_start(args, format);
    vsnprintf(handover->error, sizeof handover->error, format, args);
    va_end(args);
    return false;
}

static bool grow(struct handover *h)
{
    if (h->n < h->room)
        return true;
    size_t room = h->room ? 2 * h->room : 64;
    if (room > MAX_TENSORS)
        return handover_fail(h, "it has more than %d tensors", MAX_TENSORS);
    struct handover_tensor *grown = realloc(h->tensors, room * sizeof *grown);
    if (!grown)
        return handover_fail(h, "out of memory");
    h->tensors = grown;
    h->room = room;
    return true;
}

struct handover_tensor *handover_add(struct handover *h, const char *name, const char *type, size_t width, size_t rank,
                                     const size_t *shape)
{
    size_t bytes = width;
    if (rank > TENSOR_MAX_RANK || strlen(name) > NAME_BYTES) {
        handover_fail(h, "tensor %.100s has more than %d dimensions, or too long a name", name, TENSOR_MAX_RANK);
        return NULL;
    }
    for (size_t i = 0; i < rank; i++)
        rnn_size_mul(bytes, shape[i], &bytes);
    if (bytes > h->limit - h->bytes) {
        handover_fail(h, "tensor %.100s is far larger than the file; such compression is refused", name);
        return NULL;
    }
    if (!grow(h))
        return NULL;
    struct handover_tensor *tensor = &h->tensors[h->n];
    *tensor = (struct handover_tensor){.name = strdup(name), .type = type, .rank = rank, .bytes = bytes};
    if (!tensor->name) {
        handover_fail(h, "out of memory");
        return NULL;
    }
    if (rank)
        memcpy(tensor->shape, shape, rank * sizeof *shape);
    h->bytes += bytes;
    h->n++;
    return tensor;
}

bool handover_text(struct handover *h, const char *key, const char *text, size_t bytes)
{
    json_t *value = json_stringn(text, bytes);
    if (!h->metadata)
        h->metadata = json_object();
    if (!value || json_object_set_new(h->metadata, key, value))
        return handover_fail(h, "its %s is no UTF-8 text", key);
    return true;
}

/* The JSON header, padded so that data begins at a cache line. Returns NULL with the error set if it cannot be made. */
static char *make_header(struct handover *h, size_t *bytes)
{
    json_t *header = json_object();
    size_t at = 0;
    if (h->metadata)
        json_object_set(header, "__metadata__", h->metadata);
    for (size_t i = 0; i < h->n; i++) {
        const struct handover_tensor *t = &h->tensors[i];
        json_t *shape = json_array();
        for (size_t d = 0; d < t->rank; d++)
            json_array_append_new(shape, json_integer((json_int_t)t->shape[d]));
        json_t *entry = json_pack("{s:s, s:o, s:[I, I]}", "dtype", t->type, "shape", shape, "data_offsets",
                                  (json_int_t)at, (json_int_t)(at + t->bytes));
        if (!entry || json_object_get(header, t->name) || json_object_set_new(header, t->name, entry)) {
            handover_fail(h, "two of its tensors have one name, or a name that is no UTF-8");
            json_decref(header);
            return NULL;
        }
        at += t->bytes;
    }
    size_t length = json_dumpb(header, NULL, 0, JSON_COMPACT), padded = rnn_round_up(8 + length, RNN_ALIGNMENT) - 8;
    char *text = length ? malloc(padded + 8) : NULL;
    if (text) {
        memset(text, ' ', padded + 8);
        for (size_t i = 0; i < 8; i++)
            text[i] = (char)(padded >> 8 * i & 255);
        json_dumpb(header, text + 8, length, JSON_COMPACT);
        *bytes = padded + 8;
    } else {
        handover_fail(h, "out of memory");
    }
    json_decref(header);
    return text;
}

bool handover_write(struct handover *h, int fd)
{
    size_t header_bytes = 0;
    char *header = make_header(h, &header_bytes);
    if (!header)
        return false;
    size_t total = header_bytes + h->bytes;
    char *out = ftruncate(fd, (off_t)total) ? MAP_FAILED : mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (out == MAP_FAILED) {
        free(header);
        return handover_fail(h, "out of memory for %zu bytes of weights", total);
    }
    memcpy(out, header, header_bytes);
    free(header);
    char *at = out + header_bytes;
    for (size_t i = 0; i < h->n; at += h->tensors[i++].bytes)
        if (!h->read(&h->tensors[i], at))
            return handover_fail(h, "the data of tensor %.100s cannot be read", h->tensors[i].name);
    return !munmap(out, total);
}

bool handover_end(struct handover *h, bool good, int fd)
{
    good = good && handover_write(h, fd);
    if (!json_memory_failed())
        return good;
    h->error[0] = 0;
    return handover_fail(h, "out of memory");
}
