/* Protocol Buffers' wire format, read in place: no schema, no allocation, no recursion. Source:
   https://protobuf.dev/programming-guides/encoding */
#ifndef CONFIG_FILES_PROTOBUF_H
#define CONFIG_FILES_PROTOBUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A message, a packed list, or a text. The bytes belong to the caller. Reading moves `at` forward. */
struct protobuf {
    const unsigned char *at, *end;
    bool damaged; /* reading stopped at bytes that are not a valid field */
};

enum protobuf_wire { PROTOBUF_VARINT, PROTOBUF_FIXED64, PROTOBUF_BYTES, PROTOBUF_FIXED32 = 5 };

struct protobuf_field {
    uint32_t number; /* 1 to 2^29 - 1 */
    enum protobuf_wire wire;
    uint64_t value;        /* of a varint, a fixed64 or a fixed32; 0 otherwise */
    struct protobuf bytes; /* of PROTOBUF_BYTES: a message, a packed list or a text; empty otherwise */
};

struct protobuf protobuf_open(const void *bytes, size_t n);

/* Read the next field. Returns false at the end, and if the message is damaged (message->damaged). Unknown fields are
   read like others, and the caller skips them. Groups, which proto3 does not have, count as damage. */
bool protobuf_next(struct protobuf *message, struct protobuf_field *field);

/* Read one number of a packed list. Returns false at the end, and if the list is damaged. */
bool protobuf_varint(struct protobuf *list, uint64_t *value);
bool protobuf_fixed32(struct protobuf *list, uint32_t *value);
bool protobuf_fixed64(struct protobuf *list, uint64_t *value);

/* The number of bytes that are left. */
size_t protobuf_left(const struct protobuf *message);

/* Whether a field has this number, and is a number, or a text or message. */
bool protobuf_is(const struct protobuf_field *field, uint32_t number, enum protobuf_wire wire);

/* Whether the bytes are this text. */
bool protobuf_equals(const struct protobuf *bytes, const char *text);

/* A repeated scalar field has one number for each field, or a packed list. Put the numbers of a field into `list`, from
   which protobuf_varint, protobuf_fixed32 or protobuf_fixed64 (according to `wire`, the wire type of a single number)
   reads them. `single` stores a single number. Returns false if the field has another wire type. */
struct protobuf_single {
    unsigned char bytes[10];
};
bool protobuf_repeated(const struct protobuf_field *field, enum protobuf_wire wire, struct protobuf_single *single,
                       struct protobuf *list);

#endif
