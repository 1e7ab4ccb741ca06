/* LevelDB's table files, which TensorFlow's checkpoints use as their index: sorted keys in checksummed blocks. Source:
   https://github.com/google/leveldb/blob/main/doc/table_format.md */
#ifndef CONFIG_FILES_SORTED_TABLE_H
#define CONFIG_FILES_SORTED_TABLE_H

#include "protobuf.h"

/* Whether a file of n bytes ends as such a table does. */
bool sorted_table_is(const unsigned char *bytes, size_t n);

/**
 * Hand every entry to `take`, in the order of the file.
 *
 * key    ends with NUL, may have NUL within, and lives as long as the call, as value does.
 * take   returns NULL, or a sentence that ends the reading.
 *
 * Returns NULL, or what is wrong with the file. Blocks are taken plain, or packed by Snappy; each is read once.
 */
const char *sorted_table_read(const unsigned char *bytes, size_t n,
                              const char *(*take)(void *context, const char *key, size_t key_bytes,
                                                  struct protobuf value),
                              void *context);

/* Unpack Snappy's raw format into malloc memory. NULL when the bytes are damaged, or memory is short. Source:
   https://github.com/google/snappy/blob/main/format_description.txt */
unsigned char *snappy_unpack(const unsigned char *bytes, size_t n, size_t *unpacked);

#endif
