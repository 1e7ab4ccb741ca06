/* LevelDB's table files, which TensorFlow's checkpoints use as their index: sorted keys in checksummed blocks. Source:
   https://github.com/google/leveldb/blob/main/doc/table_format.md */
#ifndef CONFIG_FILES_SORTED_TABLE_H
#define CONFIG_FILES_SORTED_TABLE_H

#include "protobuf.h"

/* Whether a file of n bytes has the footer of such a table. */
bool sorted_table_is(const unsigned char *bytes, size_t n);

/**
 * Call `take` for every entry, in the order of the file.
 *
 * key    ends with NUL, may have NUL within, and lives as long as the call, as value does.
 * take   returns NULL, or a sentence that ends the reading.
 *
 * Returns NULL, or the error. Blocks may be plain or compressed by Snappy; each is read once.
 */
const char *sorted_table_read(const unsigned char *bytes, size_t n,
                              const char *(*take)(void *context, const char *key, size_t key_bytes,
                                                  struct protobuf value),
                              void *context);

/* Decompress Snappy's raw format into memory of malloc. Returns NULL if the bytes are damaged, or if out of memory.
   Source: https://github.com/google/snappy/blob/main/format_description.txt */
unsigned char *snappy_unpack(const unsigned char *bytes, size_t n, size_t *unpacked);

#endif
