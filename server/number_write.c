/* Shortest float32 to decimal: Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2021). */
#include "number_write.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ceil(10^k * 2^(63 - floor(log2 10^k))) for k = -31..45, by exact rational arithmetic. */
static const uint64_t powers_of_ten[] = {
    0x81ceb32c4b43fcf5, 0xa2425ff75e14fc32, 0xcad2f7f5359a3b3f, 0xfd87b5f28300ca0e, 0x9e74d1b791e07e49,
    0xc612062576589ddb, 0xf79687aed3eec552, 0x9abe14cd44753b53, 0xc16d9a0095928a28, 0xf1c90080baf72cb2,
    0x971da05074da7bef, 0xbce5086492111aeb, 0xec1e4a7db69561a6, 0x9392ee8e921d5d08, 0xb877aa3236a4b44a,
    0xe69594bec44de15c, 0x901d7cf73ab0acda, 0xb424dc35095cd810, 0xe12e13424bb40e14, 0x8cbccc096f5088cc,
    0xafebff0bcb24aaff, 0xdbe6fecebdedd5bf, 0x89705f4136b4a598, 0xabcc77118461cefd, 0xd6bf94d5e57a42bd,
    0x8637bd05af6c69b6, 0xa7c5ac471b478424, 0xd1b71758e219652c, 0x83126e978d4fdf3c, 0xa3d70a3d70a3d70b,
    0xcccccccccccccccd, 0x8000000000000000, 0xa000000000000000, 0xc800000000000000, 0xfa00000000000000,
    0x9c40000000000000, 0xc350000000000000, 0xf424000000000000, 0x9896800000000000, 0xbebc200000000000,
    0xee6b280000000000, 0x9502f90000000000, 0xba43b74000000000, 0xe8d4a51000000000, 0x9184e72a00000000,
    0xb5e620f480000000, 0xe35fa931a0000000, 0x8e1bc9bf04000000, 0xb1a2bc2ec5000000, 0xde0b6b3a76400000,
    0x8ac7230489e80000, 0xad78ebc5ac620000, 0xd8d726b7177a8000, 0x878678326eac9000, 0xa968163f0a57b400,
    0xd3c21bcecceda100, 0x84595161401484a0, 0xa56fa5b99019a5c8, 0xcecb8f27f4200f3a, 0x813f3978f8940985,
    0xa18f07d736b90be6, 0xc9f2c9cd04674edf, 0xfc6f7c4045812297, 0x9dc5ada82b70b59e, 0xc5371912364ce306,
    0xf684df56c3e01bc7, 0x9a130b963a6c115d, 0xc097ce7bc90715b4, 0xf0bdc21abb48db21, 0x96769950b50d88f5,
    0xbc143fa4e250eb32, 0xeb194f8e1ae525fe, 0x92efd1b8d0cf37bf, 0xb7abc627050305ae, 0xe596b7b0c643c71a,
    0x8f7e32ce7bea5c70, 0xb35dbf821ae4f38c,
};

/* floor(x / 2^n) for negative x too. */
static int32_t floor_shift(int32_t x, int n)
{
    return x >> n; /* arithmetic in gcc and clang */
}

/* The upper half of g * cp / 2^32, with its lowest bit set when anything below is lost. */
static uint32_t round_to_odd(uint64_t g, uint32_t cp)
{
    uint64_t low = (g & 0xffffffffu) * cp, high = (g >> 32) * cp + (low >> 32);
    return (uint32_t)(high >> 32) | ((uint32_t)high > 1);
}

struct decimal {
    uint32_t digits;
    int exponent; /* digits * 10^exponent */
};

static struct decimal shortest(uint32_t significand, uint32_t biased)
{
    uint32_t c = biased ? significand | 1u << 23 : significand;
    int32_t q = biased ? (int32_t)biased - 150 : -149;
    if (0 <= -q && -q < 24 && !(c & ((1u << -q) - 1)))
        return (struct decimal){c >> -q, 0}; /* a whole number below 2^24 */
    bool even = !(c & 1), closer_below = !significand && biased > 1;
    uint32_t left = 4 * c - 2 + closer_below, middle = 4 * c, right = 4 * c + 2;
    int32_t k = floor_shift(q * 1262611 - (closer_below ? 524031 : 0), 22); /* floor(log10 2^q) or of 3/4 2^q */
    int32_t h = q + floor_shift(-k * 1741647, 19) + 1;                      /* floor(log2 10^-k) */
    uint64_t g = powers_of_ten[-k + 31];
    uint32_t lower = round_to_odd(g, left << h) + !even, upper = round_to_odd(g, right << h) - !even;
    uint32_t value = round_to_odd(g, middle << h), s = value / 4, tens = s / 10, half = 4 * s + 2;
    /* Which of the candidates it is cannot be foreseen, so all are worked out and none is jumped to. */
    bool below_tens = lower <= 40 * tens, above_tens = 40 * tens + 40 <= upper;
    bool below = lower <= 4 * s, above = 4 * s + 4 <= upper;
    uint32_t nearer_above = (value > half) | ((value == half) & (s & 1));
    uint32_t by_tens = (s >= 10) & (below_tens != above_tens);
    uint32_t by_one = below != above;
    uint32_t ones = s + ((above & by_one) | (nearer_above & (by_one ^ 1)));
    uint32_t mask = -by_tens;
    return (struct decimal){(ones & ~mask) | ((tens + above_tens) & mask), k + (int)by_tens};
}

/* Eight digits side by side in a register: halves of four, of two, then single ones, each by a multiplication that stands
   for the division (exact for numbers this small). The first digit is the lowest byte, which is the first in memory. */
static uint64_t eight_digits(uint32_t x)
{
    uint64_t v = x / 10000 | (uint64_t)(x % 10000) << 32;
    uint64_t hundreds = v * 10486 >> 20 & UINT64_C(0x7f0000007f);
    v = hundreds | (v - 100 * hundreds) << 16;
    uint64_t tens = v * 103 >> 10 & UINT64_C(0xf000f000f000f);
    return tens | (v - 10 * tens) << 8;
}

/* The decimal digits of a number: one before the others, if it has nine, and eight characters, the first in the lowest
   byte. They stay in registers: what is stored and loaded again at another place costs more than all the rest. */
struct digits {
    uint64_t characters;
    uint32_t top; /* 0: none */
    int count;
};

/* The digits of d.digits, which has nine at most and is not 0, without the zeros at its end: *exponent grows by those. */
static inline struct digits split(struct decimal d, int *exponent)
{
    uint32_t top = d.digits / 100000000;
    uint64_t rest = eight_digits(d.digits % 100000000);
    int last = rest ? 7 - __builtin_clzll(rest) / 8 : -1; /* of the eight; -1 is the one before them */
    int zeros = top ? 0 : __builtin_ctzll(rest) / 8;
    *exponent = d.exponent + 7 - last;
    return (struct digits){(rest + UINT64_C(0x3030303030303030)) >> 8 * zeros, top, last + 1 - zeros + (top > 0)};
}

/* Nine characters are written, whatever counts: there is room. */
static inline void put(const struct digits *digits, char *out)
{
    *out = (char)('0' + digits->top);
    memcpy(out + (digits->top > 0), &digits->characters, sizeof digits->characters);
}

static char *write_decimal(struct decimal d, char *out)
{
    int exponent;
    const struct digits digits = split(d, &exponent);
    int count = digits.count, point = count + exponent; /* digits before the decimal point */
    if (point <= 0 && point >= -3) {                    /* 0.00ddd */
        memcpy(out, "0.000", 5);
        put(&digits, out + 2 - point);
        return out + 2 - point + count;
    }
    put(&digits, out);
    if (point > 9 || point < -3) { /* d.ddde±x */
        memmove(out + 2, out + 1, (size_t)count - 1);
        out[1] = '.';
        out += count > 1 ? count + 1 : 1;
        *out++ = 'e';
        int e = point - 1;
        if (e < 0) {
            *out++ = '-';
            e = -e;
        }
        if (e >= 10)
            *out++ = (char)('0' + e / 10);
        *out++ = (char)('0' + e % 10);
        return out;
    }
    if (exponent >= 0) { /* ddd00.0 */
        memset(out + count, '0', (size_t)exponent);
        memcpy(out + point, ".0", 2);
        return out + point + 2;
    }
    memmove(out + point + 1, out + point, (size_t)(count - point)); /* dd.ddd */
    out[point] = '.';
    return out + count + 1;
}

char *number_write(float value, char *out)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t significand = bits & 0x7fffff, biased = bits >> 23 & 255;
    if (biased == 255 && significand) {
        memcpy(out, "NaN", 3);
        return out + 3;
    }
    *out = '-';
    out += bits >> 31; /* no jump: signs cannot be foreseen */
    if (biased == 255) {
        memcpy(out, "Infinity", 8);
        return out + 8;
    }
    if (!(bits << 1)) {
        memcpy(out, "0.0", 3);
        return out + 3;
    }
    return write_decimal(shortest(significand, biased), out);
}
