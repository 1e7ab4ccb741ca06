/* SipHash-2-4, a keyed hash: without the key, the hash of a text cannot be predicted. Source: Aumasson and Bernstein,
   2012. */
#ifndef SERVER_SESSION_SIPHASH_H
#define SERVER_SESSION_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint64_t key[2], const void *bytes, size_t n);

#endif
