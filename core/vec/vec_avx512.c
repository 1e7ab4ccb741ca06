/* The packed kernels for AVX-512F: 16 lanes, 32 registers. */
#include <immintrin.h>
#include <stddef.h>

typedef __m512 vf;
enum { vf_lanes = 16 };
#define TILE_ROWS 6
/* clang-format off */
#define PRIMITIVE static inline __attribute__((always_inline)) vf

PRIMITIVE vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline __attribute__((always_inline)) void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
PRIMITIVE vf_set1(float x) { return _mm512_set1_ps(x); }
PRIMITIVE vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
PRIMITIVE vf_fnma(vf a, vf b, vf c) { return _mm512_fnmadd_ps(a, b, c); }
PRIMITIVE vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
PRIMITIVE vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
PRIMITIVE vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
PRIMITIVE vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
PRIMITIVE vf_min(vf a, vf b) { return _mm512_min_ps(a, b); } /* b where either is NaN */
PRIMITIVE vf_abs(vf x) { return _mm512_abs_ps(x); }
PRIMITIVE vf_copysign(vf magnitude, vf sign)
{
    __m512i bit = _mm512_set1_epi32((int)0x80000000u);
    /* sign bit from one, the rest from the other: bitwise select */
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(bit, _mm512_castps_si512(sign),
                                                         _mm512_castps_si512(magnitude), 0xCA));
}
PRIMITIVE vf_round(vf x)
{
    return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
PRIMITIVE vf_scale2(vf n)
{
    __m512i exponent = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
    return _mm512_castsi512_ps(_mm512_slli_epi32(exponent, 23));
}
PRIMITIVE vf_select_negative(vf x, vf a, vf b)
{
    return _mm512_mask_mov_ps(b, _mm512_cmplt_epi32_mask(_mm512_castps_si512(x), _mm512_setzero_si512()), a);
}

/* clang-format on */
#include "vec_simd.h"

const struct vec_ops vec_avx512 = VEC_SIMD_TABLE("avx512");
