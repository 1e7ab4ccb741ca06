/* Fuzz target: the protobuf reader. All its results are within the input, and every call advances. */
#include "fuzz.h"

#include "config/files/protobuf.h"

#include <stdlib.h>

enum { MAX_DEPTH = 32 };

static void walk(struct protobuf message, int depth)
{
    const unsigned char *begin = message.at, *end = message.end;
    struct protobuf_field field;
    struct protobuf_single single;
    struct protobuf list;
    uint64_t wide;
    uint32_t number;
    for (const unsigned char *before = begin; protobuf_next(&message, &field); before = message.at) {
        if (message.at <= before || message.at > end || !field.number || message.damaged)
            abort();
        if (field.wire == PROTOBUF_BYTES && protobuf_left(&field.bytes) &&
            (field.bytes.at < before || field.bytes.end != message.at))
            abort();
        if (protobuf_repeated(&field, PROTOBUF_VARINT, &single, &list))
            while (protobuf_varint(&list, &wide))
                ;
        if (protobuf_repeated(&field, PROTOBUF_FIXED32, &single, &list))
            while (protobuf_fixed32(&list, &number))
                ;
        if (field.wire == PROTOBUF_BYTES && depth < MAX_DEPTH)
            walk(field.bytes, depth + 1);
    }
    if (message.at != end)
        abort();
}

int fuzz_protobuf(const unsigned char *data, size_t size)
{
    unsigned char *copy = malloc(size + 1); /* of the exact size, so that sanitizers detect a read beyond its end */
    for (size_t i = 0; i < size; i++)
        copy[i] = data[i];
    walk(protobuf_open(copy, size), 0);
    free(copy);
    return 0;
}

FUZZ_TARGET(fuzz_protobuf)
