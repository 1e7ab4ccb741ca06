/* The packed kernels for AVX-512F: 16 lanes, 32 registers. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m512 vf;
enum { vf_lanes = 16 };
#define REGISTERS 32
/* clang-format off */
#define PRIMITIVE static inline __attribute__((always_inline)) vf

PRIMITIVE vf_load(const float *p) { return _mm512_loadu_ps(p); }
PRIMITIVE vf_load_bf16(const uint16_t *p, size_t i)
{
    __m512i both = _mm512_loadu_si512(p);
    return _mm512_castsi512_ps(i ? _mm512_and_epi32(both, _mm512_set1_epi32((int)0xffff0000u))
                                 : _mm512_slli_epi32(both, 16));
}
PRIMITIVE vf_load_int8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
static inline __attribute__((always_inline)) void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
PRIMITIVE vf_set1(float x) { return _mm512_set1_ps(x); }
PRIMITIVE vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
PRIMITIVE vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
PRIMITIVE vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
PRIMITIVE vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
PRIMITIVE vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
PRIMITIVE vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
PRIMITIVE vf_min(vf a, vf b) { return _mm512_min_ps(a, b); } /* b where either is NaN */
PRIMITIVE vf_max(vf a, vf b) { return _mm512_max_ps(a, b); } /* likewise */
PRIMITIVE vf_abs(vf x) { return _mm512_abs_ps(x); }
PRIMITIVE vf_copysign(vf magnitude, vf sign)
{
    __m512i bit = _mm512_set1_epi32((int)0x80000000u);
    /* the sign bit of one and the other bits of the other: bitwise select */
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(bit, _mm512_castps_si512(sign),
                                                         _mm512_castps_si512(magnitude), 0xCA));
}
PRIMITIVE vf_reciprocal(vf x) { return _mm512_rcp14_ps(x); }
PRIMITIVE vf_lookup8(const float *table, vf k)
{
    __m512 twice = _mm512_castpd_ps(_mm512_broadcast_f64x4(_mm256_castps_pd(_mm256_loadu_ps(table))));
    return _mm512_permutexvar_ps(_mm512_castps_si512(k), twice);
}
PRIMITIVE vf_add_exponent(vf x, vf k)
{
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(x), _mm512_slli_epi32(_mm512_castps_si512(k), 20)));
}
PRIMITIVE vf_select_less(vf a, vf b, vf x, vf y)
{
    return _mm512_mask_mov_ps(y, _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ), x);
}
static inline __attribute__((always_inline)) void vf_keep(vf *x) { __asm__("" : "+v"(*x)); }

/* clang-format on */
#include "vec_simd.h"

const struct vec_ops vec_avx512 = VEC_SIMD_TABLE("avx512");
