/* Schubfach (number_write.c) for eight numbers at a time: first the digits and their positions for a block of numbers,
   without branches; then their bytes are written. */
#include "number_lanes.h"

#include "number_write.h"

#include <string.h>

const uint64_t number_powers_of_ten[77] = {
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

#if defined(__x86_64__)

#include <immintrin.h>

enum { LANES = 8, BLOCK = 64 };

/* The positions of the parts of each number of a block, counted from the first byte of the number. The head "-0.000" or
   "0.000" is written first, and the digits overwrite the rest of it. Digits after a decimal point are written a second
   time. */
struct layout {
    uint64_t head[BLOCK], first[BLOCK], digits[BLOCK], behind[BLOCK];
    uint64_t first_at[BLOCK], digits_at[BLOCK], behind_at[BLOCK], point_at[BLOCK], length[BLOCK];
};

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512cd,avx512dq")))

AVX512 static inline __m512i all(int64_t x)
{
    return _mm512_set1_epi64(x);
}

/* round_to_odd of number_write.c: the upper half of g * cp / 2^32, its lowest bit set when anything below is lost. */
AVX512 static inline __m512i round_to_odd(__m512i g, __m512i cp)
{
    __m512i low = _mm512_mul_epu32(g, cp);
    __m512i high = _mm512_add_epi64(_mm512_mul_epu32(_mm512_srli_epi64(g, 32), cp), _mm512_srli_epi64(low, 32));
    __m512i value = _mm512_srli_epi64(high, 32);
    __mmask8 lost = _mm512_cmpgt_epu64_mask(_mm512_and_epi64(high, all(0xffffffff)), all(1));
    return _mm512_mask_or_epi64(value, lost, value, all(1));
}

/* A quotient of numbers below 2^32 by the multiplication that a compiler takes for it. */
AVX512 static inline __m512i quotient(__m512i x, uint32_t factor, unsigned shift)
{
    return _mm512_srli_epi64(_mm512_mul_epu32(x, all(factor)), shift);
}

/* The shortest decimal: digits times 10^*exponent. Of normal numbers that are neither whole nor powers of two. */
AVX512 static inline __m512i shortest(__m512i c, __m512i q, __m512i *exponent)
{
    const __m512i one = all(1), two = all(2), ten = all(10);
    __m512i k = _mm512_srai_epi64(_mm512_mullo_epi64(q, all(1262611)), 22);
    __m512i h = _mm512_add_epi64(_mm512_add_epi64(q, _mm512_srai_epi64(_mm512_mullo_epi64(k, all(-1741647)), 19)), one);
    __m512i g = _mm512_i64gather_epi64(_mm512_sub_epi64(all(31), k), number_powers_of_ten, 8);
    __m512i middle = _mm512_slli_epi64(c, 2), odd = _mm512_and_epi64(c, one);
    __m512i lower = round_to_odd(g, _mm512_sllv_epi64(_mm512_sub_epi64(middle, two), h));
    __m512i upper = round_to_odd(g, _mm512_sllv_epi64(_mm512_add_epi64(middle, two), h));
    __m512i value = round_to_odd(g, _mm512_sllv_epi64(middle, h));
    lower = _mm512_add_epi64(lower, odd);
    upper = _mm512_sub_epi64(upper, odd);
    __m512i s = _mm512_srli_epi64(value, 2), tens = quotient(s, 0xcccccccd, 35), s4 = _mm512_slli_epi64(s, 2);
    __m512i tens40 = _mm512_mul_epu32(tens, all(40)), half = _mm512_add_epi64(s4, two);
    __mmask8 below_tens = _mm512_cmple_epi64_mask(lower, tens40);
    __mmask8 above_tens = _mm512_cmple_epi64_mask(_mm512_add_epi64(tens40, all(40)), upper);
    __mmask8 below = _mm512_cmple_epi64_mask(lower, s4);
    __mmask8 above = _mm512_cmple_epi64_mask(_mm512_add_epi64(s4, all(4)), upper);
    __mmask8 nearer_above =
        _mm512_cmpgt_epi64_mask(value, half) | (_mm512_cmpeq_epi64_mask(value, half) & _mm512_test_epi64_mask(s, one));
    __mmask8 by_tens = _mm512_cmpge_epi64_mask(s, ten) & (below_tens ^ above_tens), by_one = below ^ above;
    *exponent = _mm512_mask_add_epi64(k, by_tens, k, one);
    __m512i ones = _mm512_mask_add_epi64(s, (above & by_one) | (nearer_above & (__mmask8)~by_one), s, one);
    return _mm512_mask_mov_epi64(ones, by_tens, _mm512_mask_add_epi64(tens, above_tens, tens, one));
}

/* eight_digits of number_write.c. */
AVX512 static inline __m512i eight_digits(__m512i x)
{
    __m512i high = quotient(x, 0xd1b71759, 45), low = _mm512_sub_epi64(x, _mm512_mul_epu32(high, all(10000)));
    __m512i v = _mm512_or_epi64(high, _mm512_slli_epi64(low, 32));
    __m512i hundreds = _mm512_srli_epi32(_mm512_mullo_epi32(v, _mm512_set1_epi32(10486)), 20);
    v = _mm512_sub_epi32(v, _mm512_mullo_epi32(hundreds, _mm512_set1_epi32(100)));
    v = _mm512_or_epi64(hundreds, _mm512_slli_epi32(v, 16));
    __m512i tens = _mm512_srli_epi16(_mm512_mullo_epi16(v, _mm512_set1_epi16(103)), 10);
    v = _mm512_sub_epi16(v, _mm512_mullo_epi16(tens, _mm512_set1_epi16(10)));
    return _mm512_or_epi64(tens, _mm512_slli_epi16(v, 8));
}

/* Compute the layout of LANES numbers, from index `at` of the block. Returns the lanes that succeeded: normal numbers
   that are neither whole nor powers of two, written without an exponent. */
AVX512 static inline unsigned lay_out(__m512i bits, struct layout *layout, size_t at)
{
    const __m512i zero = _mm512_setzero_si512(), one = all(1), two = all(2), seven = all(7);
    __m512i significand = _mm512_and_epi64(bits, all(0x7fffff));
    __m512i biased = _mm512_and_epi64(_mm512_srli_epi64(bits, 23), all(255)), sign = _mm512_srli_epi64(bits, 31);
    __m512i c = _mm512_or_epi64(significand, all(1 << 23)), q = _mm512_sub_epi64(biased, all(150));
    __m512i fraction = _mm512_sub_epi64(zero, q); /* bits of it; a shift by 64 and more gives 0 */
    __m512i below_point = _mm512_sub_epi64(_mm512_sllv_epi64(one, fraction), one);
    __mmask8 whole = _mm512_cmplt_epi64_mask(fraction, all(24)) & _mm512_testn_epi64_mask(c, below_point);
    __mmask8 good = _mm512_test_epi64_mask(significand, significand) &
                    _mm512_cmplt_epi64_mask(_mm512_sub_epi64(biased, one), all(149)) &
                    _mm512_cmpge_epi64_mask(biased, one) & (__mmask8)~whole;
    /* the other lanes compute 1.5, so that no gather reads outside the table */
    c = _mm512_mask_mov_epi64(all(3 << 22), good, c);
    q = _mm512_mask_mov_epi64(all(-23), good, q);

    __m512i exponent, decimal = shortest(c, q, &exponent), top = quotient(decimal, 1441151881, 57);
    __m512i rest = eight_digits(_mm512_sub_epi64(decimal, _mm512_mul_epu32(top, all(100000000))));
    __mmask8 nine = _mm512_test_epi64_mask(top, top);
    __m512i last = _mm512_sub_epi64(seven, _mm512_srli_epi64(_mm512_lzcnt_epi64(rest), 3));
    __m512i lowest = _mm512_and_epi64(rest, _mm512_sub_epi64(zero, rest));
    __m512i zeros = _mm512_srli_epi64(_mm512_sub_epi64(all(63), _mm512_lzcnt_epi64(lowest)), 3);
    zeros = _mm512_mask_mov_epi64(zeros, nine, zero);
    __m512i count = _mm512_sub_epi64(_mm512_add_epi64(last, one), zeros);
    __m512i is_nine = _mm512_maskz_mov_epi64(nine, one);
    count = _mm512_add_epi64(count, is_nine);
    __m512i digits = _mm512_srlv_epi64(_mm512_add_epi64(rest, all(0x3030303030303030)), _mm512_slli_epi64(zeros, 3));
    __m512i point = _mm512_add_epi64(_mm512_add_epi64(exponent, _mm512_sub_epi64(seven, last)), count);
    good &= _mm512_cmpge_epi64_mask(point, all(-3)) & _mm512_cmple_epi64_mask(point, all(9));

    /* 0.00ddd: the digits after two characters and the zeros; dd.ddd: at the beginning, and again behind the point */
    __mmask8 inside = _mm512_cmpgt_epi64_mask(point, zero);
    __m512i first_at = _mm512_add_epi64(sign, _mm512_maskz_sub_epi64((__mmask8)~inside, two, point));
    __m512i digits_at = _mm512_add_epi64(first_at, is_nine), before = _mm512_sub_epi64(point, is_nine);
    __m512i behind = _mm512_mask_srlv_epi64(digits, inside, digits, _mm512_slli_epi64(before, 3));
    __m512i point_at = _mm512_add_epi64(sign, _mm512_mask_mov_epi64(one, inside, point));
    __m512i head = _mm512_sllv_epi64(all(0x3030302e30), _mm512_slli_epi64(sign, 3));
    _mm512_storeu_si512(layout->head + at,
                        _mm512_mask_or_epi64(head, _mm512_test_epi64_mask(sign, sign), head, all('-')));
    _mm512_storeu_si512(layout->first + at, _mm512_add_epi64(top, all('0')));
    _mm512_storeu_si512(layout->digits + at, digits);
    _mm512_storeu_si512(layout->behind + at, behind);
    _mm512_storeu_si512(layout->first_at + at, first_at);
    _mm512_storeu_si512(layout->digits_at + at, digits_at);
    _mm512_storeu_si512(layout->behind_at + at, _mm512_mask_add_epi64(digits_at, inside, point_at, one));
    _mm512_storeu_si512(layout->point_at + at, point_at);
    _mm512_storeu_si512(layout->length + at,
                        _mm512_add_epi64(_mm512_add_epi64(first_at, count), _mm512_maskz_mov_epi64(inside, one)));
    return good;
}

static inline char *put(const struct layout *layout, size_t i, char *out)
{
    memcpy(out, &layout->head[i], sizeof layout->head[i]);
    out[layout->first_at[i]] = (char)layout->first[i];
    memcpy(out + layout->digits_at[i], &layout->digits[i], sizeof layout->digits[i]);
    memcpy(out + layout->behind_at[i], &layout->behind[i], sizeof layout->behind[i]);
    out[layout->point_at[i]] = '.';
    return out + layout->length[i];
}

AVX512 static char *write_blocks(const float *values, size_t n, char *out)
{
    for (size_t some; n; values += some, n -= some) {
        struct layout layout;
        unsigned char good[BLOCK / LANES];
        some = n < BLOCK ? n : BLOCK;
        for (size_t at = 0; at < some; at += LANES) {
            __mmask16 there = (__mmask16)(some - at < LANES ? (1u << (some - at)) - 1 : 0xff);
            __m512i bits = _mm512_maskz_loadu_epi32(there, values + at);
            good[at / LANES] = (unsigned char)lay_out(_mm512_cvtepu32_epi64(_mm512_castsi512_si256(bits)), &layout, at);
        }
        for (size_t i = 0; i < some; i++) {
            out = good[i / LANES] >> i % LANES & 1 ? put(&layout, i, out) : number_write(values[i], out);
            *out++ = ',';
        }
    }
    return out;
}

static bool chosen;

bool number_lanes_choose(const char *isa)
{
    chosen = !strcmp(isa, "avx512") && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq");
    return chosen;
}

bool number_lanes_write(const float *values, size_t n, char **out)
{
    if (chosen)
        *out = write_blocks(values, n, *out);
    return chosen;
}

#else

bool number_lanes_choose(const char *isa)
{
    (void)isa;
    return false;
}

bool number_lanes_write(const float *values, size_t n, char **out)
{
    (void)values, (void)n, (void)out;
    return false;
}

#endif
