/* CRC-32C (Castagnoli), the checksum of TensorFlow's files. */
#ifndef CONFIG_FILES_CRC32C_H
#define CONFIG_FILES_CRC32C_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32c(const void *bytes, size_t n);

/* The masked form that LevelDB stores. The mask avoids problems with checksums of bytes that contain checksums. */
uint32_t crc32c_masked(const void *bytes, size_t n);

#endif
