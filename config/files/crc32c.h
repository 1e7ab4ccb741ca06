/* CRC-32C (Castagnoli), the checksum of TensorFlow's files. */
#ifndef CONFIG_FILES_CRC32C_H
#define CONFIG_FILES_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *bytes, size_t n);

/* The same as LevelDB stores it, so that the checksum of bytes that hold checksums is no special case. */
uint32_t crc32c_masked(const void *bytes, size_t n);

#endif
