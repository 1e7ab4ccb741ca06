/* SipHash-2-4. */
#include "siphash.h"

static uint64_t rotate(uint64_t x, int bits)
{
    return x << bits | x >> (64 - bits);
}

static void round_of(uint64_t v[4])
{
    v[0] += v[1];
    v[2] += v[3];
    v[1] = rotate(v[1], 13) ^ v[0];
    v[3] = rotate(v[3], 16) ^ v[2];
    v[0] = rotate(v[0], 32) + v[3];
    v[2] += v[1];
    v[1] = rotate(v[1], 17) ^ v[2];
    v[3] = rotate(v[3], 21) ^ v[0];
    v[2] = rotate(v[2], 32);
}

static void take_word(uint64_t v[4], uint64_t word)
{
    v[3] ^= word;
    round_of(v);
    round_of(v);
    v[0] ^= word;
}

/* Words are read as little-endian, the last one has the length in its highest byte. */
uint64_t siphash(const uint64_t key[2], const void *bytes, size_t n)
{
    const unsigned char *at = bytes;
    uint64_t word = 0, v[4] = {key[0] ^ 0x736f6d6570736575u, key[1] ^ 0x646f72616e646f6du, key[0] ^ 0x6c7967656e657261u,
                               key[1] ^ 0x7465646279746573u};
    for (size_t i = 0; i < n; i++) {
        word |= (uint64_t)at[i] << 8 * (i % 8);
        if (i % 8 == 7) {
            take_word(v, word);
            word = 0;
        }
    }
    take_word(v, word | (uint64_t)n << 56);
    v[2] ^= 0xff;
    for (int i = 0; i < 4; i++)
        round_of(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
