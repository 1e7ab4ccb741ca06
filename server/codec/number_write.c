/* Shortest float32 to decimal: Schubfach (Raffaello Giulietti, "The Schubfach way to render doubles", 2021). */
#include "number_write.h"

#include "number_lanes.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

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
    uint64_t g = number_powers_of_ten[-k + 31];
    uint32_t lower = round_to_odd(g, left << h) + !even, upper = round_to_odd(g, right << h) - !even;
    uint32_t value = round_to_odd(g, middle << h), s = value / 4, tens = s / 10, half = 4 * s + 2;
    /* The right candidate is not predictable, so all candidates are computed without branches. */
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
   byte. They stay in registers: a store followed by a load from another address would take longer than all the rest. */
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

/* d.ddd, the point after some of the digits. Those behind it are put a second time, from the register. */
static inline char *put_with_point(const struct digits *digits, int point, char *out)
{
    put(digits, out);
    uint64_t behind = digits->characters >> 8 * (point - (digits->top > 0));
    memcpy(out + point + 1, &behind, sizeof behind);
    out[point] = '.';
    return out + digits->count + 1;
}

/* The digits, times 10^exponent. */
static char *place(const struct digits *digits, int exponent, char *out)
{
    int count = digits->count, point = count + exponent; /* digits before the decimal point */
    if (point <= 0 && point >= -3) {                     /* 0.00ddd */
        memcpy(out, "0.000", 5);
        put(digits, out + 2 - point);
        return out + 2 - point + count;
    }
    if (point > 9 || point < -3) { /* d.ddde±x */
        out = count > 1 ? put_with_point(digits, 1, out) : (put(digits, out), out + 1);
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
    if (exponent < 0)
        return put_with_point(digits, point, out);
    put(digits, out); /* ddd00.0 */
    memset(out + count, '0', (size_t)exponent);
    memcpy(out + point, ".0", 2);
    return out + point + 2;
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
    out += bits >> 31; /* no branch: signs are not predictable */
    if (biased == 255) {
        memcpy(out, "Infinity", 8);
        return out + 8;
    }
    if (!(bits << 1)) {
        memcpy(out, "0.0", 3);
        return out + 3;
    }
    int exponent;
    const struct digits digits = split(shortest(significand, biased), &exponent);
    return place(&digits, exponent, out);
}

char *numbers_write(const float *values, size_t n, char *out)
{
    if (number_lanes_write(values, n, &out))
        return out;
    for (size_t i = 0; i < n; i++) {
        out = number_write(values[i], out);
        *out++ = ',';
    }
    return out;
}
