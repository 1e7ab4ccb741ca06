/* Tables of sorted keys: the footer points to the index block, whose values point to the blocks of entries. */
#include "sorted_table.h"

#include "crc32c.h"

#include <stdlib.h>
#include <string.h>

enum { FOOTER_BYTES = 48, TRAILER_BYTES = 5, MAX_KEY_BYTES = 4096 };
enum { PLAIN = 0, SNAPPY = 1 };

static uint32_t u32_at(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

bool sorted_table_is(const unsigned char *bytes, size_t n)
{
    static const unsigned char magic[8] = {0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb};
    return n >= FOOTER_BYTES && !memcmp(bytes + n - sizeof magic, magic, sizeof magic);
}

/* ---- Snappy ---- */

/* A copy of earlier output, which may overlap its own output. */
static bool copy_back(unsigned char *out, size_t room, size_t *at, size_t offset, size_t length)
{
    if (!offset || offset > *at || length > room - *at)
        return false;
    for (; length; length--, ++*at)
        out[*at] = out[*at - offset];
    return true;
}

/* One element: a literal (tag 0), or a copy with an offset of 1, 2 or 4 bytes. */
static bool unpack_element(struct protobuf *in, unsigned char *out, size_t room, size_t *at)
{
    unsigned char tag = *in->at++;
    size_t kind = tag & 3, length = (size_t)(tag >> 2) + 1, extra = kind == 3 ? 4 : kind, more = 0;
    if (!kind)
        extra = length > 60 ? length - 60 : 0;
    if (protobuf_left(in) < extra)
        return false;
    for (size_t i = extra; i-- > 0;)
        more = more << 8 | in->at[i];
    in->at += extra;
    if (kind == 1)
        return copy_back(out, room, at, (size_t)(tag >> 5) << 8 | more, (size_t)(tag >> 2 & 7) + 4);
    if (kind)
        return copy_back(out, room, at, more, length);
    if (extra)
        length = more + 1;
    if (length > protobuf_left(in) || length > room - *at)
        return false;
    memcpy(out + *at, in->at, length);
    in->at += length;
    *at += length;
    return true;
}

unsigned char *snappy_unpack(const unsigned char *bytes, size_t n, size_t *unpacked)
{
    struct protobuf in = protobuf_open(bytes, n);
    uint64_t room;
    size_t at = 0;
    /* The shortest element of 64 bytes takes 3. */
    if (!protobuf_varint(&in, &room) || room > 22 * (uint64_t)n)
        return NULL;
    unsigned char *out = malloc((size_t)room + 1);
    bool good = out != NULL;
    while (good && protobuf_left(&in))
        good = unpack_element(&in, out, (size_t)room, &at);
    if (good && at == room) {
        *unpacked = at;
        return out;
    }
    free(out);
    return NULL;
}

/* ---- blocks ---- */

/* The part of the file in which blocks may be, and the end of the previous block: blocks do not overlap. */
struct table {
    const unsigned char *bytes;
    size_t limit, read_to;
};

/* Decompress a block; the caller frees *owned. Returns NULL or the error. */
static const char *open_block(const struct table *table, uint64_t offset, uint64_t size, struct protobuf *block,
                              unsigned char **owned)
{
    *owned = NULL;
    if (offset > table->limit || size > table->limit - offset || table->limit - offset - size < TRAILER_BYTES)
        return "a block lies beyond the end of the file: it is cut short";
    const unsigned char *at = table->bytes + offset;
    size_t n = (size_t)size;
    if (u32_at(at + n + 1) != crc32c_masked(at, n + 1))
        return "a block's checksum is wrong: the file is damaged";
    if (at[n] == SNAPPY)
        at = *owned = snappy_unpack(at, n, &n);
    else if (at[n] != PLAIN)
        return "a block is packed in an unknown way";
    if (!at)
        return "a block cannot be unpacked: the file is damaged";
    *block = protobuf_open(at, n);
    return NULL;
}

/* Each entry has the number of bytes shared with the previous key, the number of new bytes, and the length of the
   value; then the new bytes and the value. */
static const char *read_entries(struct protobuf block,
                                const char *(*take)(void *context, const char *key, size_t key_bytes,
                                                    struct protobuf value),
                                void *context)
{
    static const char damaged[] = "an entry of a block is damaged";
    char key[MAX_KEY_BYTES + 1] = "";
    size_t key_bytes = 0, n = protobuf_left(&block);
    size_t restarts = n >= 4 ? u32_at(block.end - 4) : 0;
    if (n < 4 || restarts > (n - 4) / 4)
        return damaged;
    block.end -= 4 + 4 * restarts;
    while (protobuf_left(&block)) {
        uint64_t shared, added, value_bytes;
        if (!protobuf_varint(&block, &shared) || !protobuf_varint(&block, &added) ||
            !protobuf_varint(&block, &value_bytes) || shared > key_bytes || added > protobuf_left(&block) ||
            value_bytes > protobuf_left(&block) - added)
            return damaged;
        if (added > MAX_KEY_BYTES - shared)
            return "a key is longer than TensorFlow's are";
        memcpy(key + shared, block.at, added);
        key_bytes = (size_t)(shared + added);
        key[key_bytes] = 0;
        block.at += added;
        const char *wrong = take(context, key, key_bytes, protobuf_open(block.at, (size_t)value_bytes));
        if (wrong)
            return wrong; /* cppcheck-suppress returnDanglingLifetime ; take returns constants */
        block.at += value_bytes;
    }
    return NULL;
}

/* ---- the table ---- */

struct walk {
    struct table table;
    const char *(*take)(void *context, const char *key, size_t key_bytes, struct protobuf value);
    void *context;
};

/* An entry of the index block: its value is the position of a block. */
static const char *read_block(void *context, const char *key, size_t key_bytes, struct protobuf handle)
{
    struct walk *walk = context;
    struct protobuf block;
    uint64_t offset, size;
    unsigned char *owned;
    (void)key;
    (void)key_bytes;
    if (!protobuf_varint(&handle, &offset) || !protobuf_varint(&handle, &size) || offset < walk->table.read_to)
        return "the place of a block is damaged";
    const char *wrong = open_block(&walk->table, offset, size, &block, &owned);
    if (!wrong) {
        walk->table.read_to = (size_t)(offset + size);
        wrong = read_entries(block, walk->take, walk->context);
    }
    free(owned);
    return wrong;
}

const char *sorted_table_read(const unsigned char *bytes, size_t n,
                              const char *(*take)(void *context, const char *key, size_t key_bytes,
                                                  struct protobuf value),
                              void *context)
{
    if (!sorted_table_is(bytes, n))
        return "its end is missing: it is cut short, or no table";
    struct protobuf footer = protobuf_open(bytes + n - FOOTER_BYTES, FOOTER_BYTES), block;
    struct walk walk = {{bytes, n - FOOTER_BYTES, 0}, take, context};
    uint64_t ignored, offset, size;
    unsigned char *owned;
    if (!protobuf_varint(&footer, &ignored) || !protobuf_varint(&footer, &ignored) ||
        !protobuf_varint(&footer, &offset) || !protobuf_varint(&footer, &size))
        return "its footer is damaged";
    const char *wrong = open_block(&walk.table, offset, size, &block, &owned);
    if (!wrong)
        wrong = read_entries(block, read_block, &walk);
    free(owned);
    return wrong;
}
