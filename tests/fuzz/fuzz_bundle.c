/* Fuzz target: TensorFlow's checkpoints, from an index, a shard and metadata to the tensors that are handed over. The
   input has a byte for the kind of metadata, two bytes each for the lengths of the metadata and the shard, and the
   three parts. The target corrects the checksums first, so that damage also reaches the code after their check. */
#include "fuzz.h"
#include "tests/handover.h"

#include "config/files/crc32c.h"
#include "config/files/keras_metadata.h"
#include "config/files/protobuf.h"
#include "config/files/sorted_table.h"

#include <stdlib.h>
#include <string.h>

enum { HEAD = 5, FOOTER = 48 };

/* Correct the checksum of a block, if the block is within the file. */
static void mend_block(unsigned char *bytes, size_t n, struct protobuf *handle)
{
    uint64_t offset, size;
    if (!protobuf_varint(handle, &offset) || !protobuf_varint(handle, &size) || offset > n || size > n - offset ||
        n - offset - size < 5)
        return;
    unsigned char *at = bytes + offset;
    uint32_t crc = crc32c_masked(at, (size_t)size + 1);
    for (int i = 0; i < 4; i++)
        at[size + 1 + i] = (unsigned char)(crc >> 8 * i);
}

/* Correct the checksums of the index block and of the first block. */
static void mend(unsigned char *bytes, size_t n)
{
    if (!sorted_table_is(bytes, n))
        return;
    struct protobuf footer = protobuf_open(bytes + n - FOOTER, FOOTER), index;
    uint64_t ignored, offset, size, shared, added, value;
    if (!protobuf_varint(&footer, &ignored) || !protobuf_varint(&footer, &ignored))
        return;
    index = footer;
    mend_block(bytes, n - FOOTER, &footer);
    if (!protobuf_varint(&index, &offset) || !protobuf_varint(&index, &size) || offset > n || size > n - offset)
        return;
    index = protobuf_open(bytes + offset, (size_t)size);
    if (protobuf_varint(&index, &shared) && protobuf_varint(&index, &added) && protobuf_varint(&index, &value) &&
        added < protobuf_left(&index)) {
        index.at += added;
        mend_block(bytes, n - FOOTER, &index);
    }
}

static void check(const struct handover *out, bool good, struct file_bytes shard)
{
    size_t bytes = 0;
    for (size_t i = 0; good && i < out->n; i++) {
        const struct handover_tensor *t = &out->tensors[i];
        const unsigned char *data = t->data;
        if (t->bytes && (data < shard.bytes || data + t->bytes > shard.bytes + shard.n))
            abort();
        bytes += t->bytes;
    }
    if (good ? bytes != out->bytes || out->bytes > out->limit : !out->error[0])
        abort(); /* a refusal must have an error message */
}

int fuzz_bundle(const unsigned char *data, size_t size)
{
    if (size < HEAD)
        return 0;
    size_t n_metadata = data[1] | (size_t)data[2] << 8, n_shard = data[3] | (size_t)data[4] << 8, left = size - HEAD;
    n_metadata = n_metadata > left ? left : n_metadata;
    n_shard = n_shard > left - n_metadata ? left - n_metadata : n_shard;
    size_t n_index = left - n_metadata - n_shard;
    unsigned char *parts[3] = {malloc(n_metadata + 1), malloc(n_shard + 1), malloc(n_index + 1)};
    memcpy(parts[0], data + HEAD, n_metadata);
    memcpy(parts[1], data + HEAD + n_metadata, n_shard);
    memcpy(parts[2], data + HEAD + n_metadata + n_shard, n_index);
    mend(parts[2], n_index);
    struct handover out = {.limit = 1 << 20};
    struct file_bytes index = {parts[2], n_index}, metadata = {parts[0], n_metadata}, shard = {parts[1], n_shard};
    check(&out, tensor_bundle_read(&out, index, (enum bundle_metadata)(data[0] % 3), metadata, &shard, 1), shard);
    handover_release(&out);
    for (int i = 0; i < 3; i++)
        free(parts[i]);
    return 0;
}

FUZZ_TARGET(fuzz_bundle)
