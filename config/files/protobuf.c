/* A cursor over bytes. For any input, it reads only between `at` and `end`, and each call moves forward or stops. */
#include "protobuf.h"

#include <string.h>

enum { MAX_VARINT_BYTES = 10, MAX_FIELD_NUMBER = (1 << 29) - 1 };

struct protobuf protobuf_open(const void *bytes, size_t n)
{
    static const unsigned char nothing[1];
    const unsigned char *at = n ? bytes : nothing;
    return (struct protobuf){.at = at, .end = at + n};
}

size_t protobuf_left(const struct protobuf *message)
{
    return (size_t)(message->end - message->at);
}

/* After damage, nothing more is read. */
static bool damage(struct protobuf *message)
{
    message->damaged = true;
    message->at = message->end;
    return false;
}

bool protobuf_varint(struct protobuf *list, uint64_t *value)
{
    size_t left = protobuf_left(list);
    *value = 0;
    if (!left)
        return false;
    for (unsigned i = 0; i < MAX_VARINT_BYTES && i < left; i++) {
        unsigned char byte = list->at[i];
        if (i == MAX_VARINT_BYTES - 1 && byte > 1) /* beyond 64 bits */
            break;
        *value |= (uint64_t)(byte & 127) << 7 * i;
        if (byte < 128) {
            list->at += i + 1;
            return true;
        }
    }
    *value = 0;
    return damage(list);
}

static bool little_endian(struct protobuf *list, size_t bytes, uint64_t *value)
{
    *value = 0;
    if (list->at == list->end)
        return false;
    if (protobuf_left(list) < bytes)
        return damage(list);
    for (size_t i = bytes; i-- > 0;)
        *value = *value << 8 | list->at[i];
    list->at += bytes;
    return true;
}

bool protobuf_fixed32(struct protobuf *list, uint32_t *value)
{
    uint64_t wide;
    bool read = little_endian(list, sizeof *value, &wide);
    *value = (uint32_t)wide;
    return read;
}

bool protobuf_fixed64(struct protobuf *list, uint64_t *value)
{
    return little_endian(list, sizeof *value, value);
}

bool protobuf_next(struct protobuf *message, struct protobuf_field *field)
{
    uint64_t tag, length;
    *field = (struct protobuf_field){.bytes = protobuf_open(NULL, 0)};
    if (!protobuf_varint(message, &tag))
        return false;
    if (tag >> 3 < 1 || tag >> 3 > MAX_FIELD_NUMBER)
        return damage(message);
    field->number = (uint32_t)(tag >> 3);
    field->wire = (enum protobuf_wire)(tag & 7);
    switch (field->wire) {
    case PROTOBUF_VARINT:
        return protobuf_varint(message, &field->value) || damage(message);
    case PROTOBUF_FIXED64:
        return little_endian(message, 8, &field->value) || damage(message);
    case PROTOBUF_FIXED32:
        return little_endian(message, 4, &field->value) || damage(message);
    case PROTOBUF_BYTES:
        if (!protobuf_varint(message, &length) || length > protobuf_left(message))
            return damage(message);
        field->bytes = protobuf_open(message->at, (size_t)length);
        message->at += length;
        return true;
    }
    return damage(message);
}

bool protobuf_is(const struct protobuf_field *field, uint32_t number, enum protobuf_wire wire)
{
    return field->number == number && field->wire == wire;
}

bool protobuf_equals(const struct protobuf *bytes, const char *text)
{
    size_t n = strlen(text);
    return protobuf_left(bytes) == n && !memcmp(bytes->at, text, n);
}

bool protobuf_repeated(const struct protobuf_field *field, enum protobuf_wire wire, struct protobuf_single *single,
                       struct protobuf *list)
{
    size_t n = wire == PROTOBUF_FIXED32 ? 4 : wire == PROTOBUF_FIXED64 ? 8 : 0;
    if (field->wire == PROTOBUF_BYTES) {
        *list = field->bytes;
        return true;
    }
    if (field->wire != wire)
        return false;
    for (size_t i = 0; i < n; i++)
        single->bytes[i] = (unsigned char)(field->value >> 8 * i);
    if (wire == PROTOBUF_VARINT) {
        uint64_t rest = field->value;
        for (; rest >= 128; rest >>= 7)
            single->bytes[n++] = (unsigned char)(rest | 128);
        single->bytes[n++] = (unsigned char)rest;
    }
    *list = protobuf_open(single->bytes, n);
    return true;
}
