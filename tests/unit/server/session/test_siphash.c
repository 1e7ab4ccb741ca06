/* SipHash-2-4 against the values of its authors: key 00 01 … 0f, texts 00 01 … of each length. */
#include "tests/unit/unit.h"

#include "server/session/siphash.h"

static void texts_have_the_known_hashes(void **state)
{
    (void)state;
    static const uint64_t key[] = {0x0706050403020100u, 0x0f0e0d0c0b0a0908u};
    /* vectors of the reference implementation, little-endian there */
    static const struct {
        size_t n;
        uint64_t hash;
    } rows[] = {{0, 0x726fdb47dd0e0e31u},
                {1, 0x74f839c593dc67fdu},
                {7, 0xab0200f58b01d137u},
                {8, 0x93f5f5799a932462u},
                {15, 0xa129ca6149be45e5u}};
    unsigned char text[16];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_true(siphash(key, text, rows[i].n) == rows[i].hash);
    const uint64_t other[] = {key[0] ^ 1, key[1]};
    assert_true(siphash(other, text, 15) != siphash(key, text, 15));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(texts_have_the_known_hashes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
