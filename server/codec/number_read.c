/* Reads most numbers with one double operation whose error is known. If this error cannot decide the rounding, strtof
   does. */
#include "number_read.h"

#include "number_lanes.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* The significant digits, at most 18, which fit a signed 64-bit number. Later digits only change the exponent. */
enum { MOST_DIGITS = 18 };
struct scan {
    int64_t digits;
    int significant, exponent;
    bool cut; /* digits that are not 0 were left out */
};

/* Whether eight bytes are all digits, and their value. Source: Lemire, "Number parsing at a gigabyte per second", Software:
   Practice and Experience 51(8), 2021, section 4. The first byte in memory is the lowest. */
__attribute__((always_inline)) static inline bool eight_digits(const char *p, int64_t *value)
{
    uint64_t v;
    memcpy(&v, p, sizeof v);
    const uint64_t high = UINT64_C(0xf0f0f0f0f0f0f0f0), threes = UINT64_C(0x3333333333333333);
    if (((v & high) | ((v + UINT64_C(0x0606060606060606)) & high) >> 4) != threes)
        return false;
    v -= UINT64_C(0x3030303030303030);
    v = v * 10 + (v >> 8);
    const uint64_t mask = UINT64_C(0xff000000ff), low = (v & mask) * (100 + (UINT64_C(1000000) << 32));
    *value = (int64_t)((low + (v >> 16 & mask) * (1 + (UINT64_C(10000) << 32))) >> 32);
    return true;
}

__attribute__((always_inline)) static inline const char *scan_digits(const char *p, const char *end, struct scan *s,
                                                                     bool fraction)
{
    int64_t eight;
    for (; *p == '0' && !s->digits; p++) /* zeros before the first significant digit */
        s->exponent -= fraction;
    while (s->significant <= MOST_DIGITS - 8 && end - p >= 8 && eight_digits(p, &eight)) {
        s->digits = s->digits * 100000000 + eight;
        s->significant += 8;
        s->exponent -= fraction ? 8 : 0;
        p += 8;
    }
    for (; is_digit(*p); p++) {
        if (s->significant < MOST_DIGITS) {
            s->digits = s->digits * 10 + (*p - '0');
            s->significant++;
            s->exponent -= fraction;
        } else {
            s->cut |= *p != '0';
            s->exponent += !fraction;
        }
    }
    return p;
}

/* Exponents beyond the range of any float become 99999. */
static const char *scan_exponent(const char *p, int *exponent)
{
    bool negative = *p == '-';
    int value = 0;
    if (*p == '+' || *p == '-')
        p++;
    for (; is_digit(*p); p++)
        if (value < 99999)
            value = value * 10 + (*p - '0');
    *exponent += negative ? -value : value;
    return p;
}

/* 10^-38..10^38, each within half a unit in its last place. */
static const double powers_of_ten[] = {
    1e-38, 1e-37, 1e-36, 1e-35, 1e-34, 1e-33, 1e-32, 1e-31, 1e-30, 1e-29, 1e-28, 1e-27, 1e-26, 1e-25, 1e-24, 1e-23,
    1e-22, 1e-21, 1e-20, 1e-19, 1e-18, 1e-17, 1e-16, 1e-15, 1e-14, 1e-13, 1e-12, 1e-11, 1e-10, 1e-9,  1e-8,  1e-7,
    1e-6,  1e-5,  1e-4,  1e-3,  1e-2,  1e-1,  1e0,   1e1,   1e2,   1e3,   1e4,   1e5,   1e6,   1e7,   1e8,   1e9,
    1e10,  1e11,  1e12,  1e13,  1e14,  1e15,  1e16,  1e17,  1e18,  1e19,  1e20,  1e21,  1e22,  1e23,  1e24,  1e25,
    1e26,  1e27,  1e28,  1e29,  1e30,  1e31,  1e32,  1e33,  1e34,  1e35,  1e36,  1e37,  1e38};

/* digits * 10^exponent as a double whose error is below 4 units in its last place (rounding of the digits, of the power
   and of the product, at most one each, and digits cut after the 18th, a tenth), rounded to float32 when that is certain:
   not within those units of the middle between two floats, and a normal float. */
__attribute__((always_inline)) static inline bool fast(const struct scan *s, float *out)
{
    if (!s->digits) {
        *out = 0;
        return !s->cut;
    }
    if (s->exponent < -38 || s->exponent > 38)
        return false;
    double value = (double)s->digits * powers_of_ten[s->exponent + 38];
    if (!(value >= 0x1p-125 && value <= 0x1p127))
        return false;
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint32_t below = bits & 0x1fffffff; /* the 29 bits of a double that a float does not have */
    if (below >= 0x10000000 - 4 && below <= 0x10000000 + 4)
        return false;
    *out = (float)value;
    return true;
}

/* 2^n, of a normal double. */
static inline double power_of_two(int n)
{
    uint64_t bits = (uint64_t)(n + 1023) << 52;
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* The grammar. Returns the end of the number, or NULL with *wrong. */
__attribute__((always_inline)) static inline const char *scan_number(const char *p, const char *end, struct scan *s,
                                                                     const char **wrong)
{
    *wrong = p;
    if (!is_digit(*p))
        return NULL;
    if (*p == '0' && is_digit(p[1])) {
        *wrong = p + 1;
        return NULL;
    }
    p = scan_digits(p, end, s, false);
    if (*p == '.') {
        *wrong = ++p;
        if (!is_digit(*p))
            return NULL;
        p = scan_digits(p, end, s, true);
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        *wrong = p + (*p == '+' || *p == '-');
        if (!is_digit(**wrong))
            return NULL;
        int exponent = 0; /* its address leaves this function, and all of *s stays in registers */
        p = scan_exponent(p, &exponent);
        s->exponent += exponent;
    }
    return p;
}

const char *number_read(const char *text, const char *end, float *out, const char **wrong)
{
    struct scan s = {.exponent = 0};
    bool negative = *text == '-';
    const char *p = scan_number(text + negative, end, &s, wrong);
    if (!p)
        return NULL;
    if (fast(&s, out))
        *out = negative ? -*out : *out;
    else
        *out = strtof(text, NULL);
    return p;
}

/* digits * 10^exponent as the upper 64 bits of a product of 128, of which the power of ten is known to a unit in its last
   place, rounded to double when that is certain: what the digits below the 53 bits of a double stand for is not within
   that error of the middle between two doubles. */
static inline bool fast_double(const struct scan *s, double *out)
{
    if (!s->digits) {
        *out = 0;
        return !s->cut;
    }
    if (s->cut || s->exponent < -31 || s->exponent > 45)
        return false;
    int zeros = __builtin_clzll((unsigned long long)s->digits);
    unsigned __int128 product =
        (unsigned __int128)((uint64_t)s->digits << zeros) * number_powers_of_ten[s->exponent + 31];
    uint64_t high = (uint64_t)(product >> 64);
    int drop = 10 + (int)(high >> 63); /* the bits that a double does not have */
    uint64_t half = UINT64_C(1) << (drop - 1), rest = high & (2 * half - 1);
    if (rest == half || rest == half - 1)
        return false;
    /* floor(log2 10^k) = (217706 k) >> 16 for these k; the power has its point after 63 bits less than that */
    int scale = (s->exponent * 217706 >> 16) + 1 - zeros + drop;
    *out = (double)((high >> drop) + (rest > half)) * power_of_two(scale);
    return true;
}

const char *number_read_double(const char *text, const char *end, double *out, const char **wrong)
{
    struct scan s = {.exponent = 0};
    bool negative = *text == '-';
    const char *p = scan_number(text + negative, end, &s, wrong);
    if (!p)
        return NULL;
    if (fast_double(&s, out))
        *out = negative ? -*out : *out;
    else
        *out = strtod(text, NULL);
    return p;
}
