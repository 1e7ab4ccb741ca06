/* The packed kernels for AVX2 with FMA: 8 lanes, 16 registers. */
#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

typedef __m256 vf;
enum { vf_lanes = 8 };
#define REGISTERS 16
/* clang-format off */
#define PRIMITIVE static inline __attribute__((always_inline)) vf

PRIMITIVE vf_load(const float *p) { return _mm256_loadu_ps(p); }
PRIMITIVE vf_load_bf16(const uint16_t *p, size_t i)
{
    __m256i both = _mm256_loadu_si256((const __m256i *)p);
    return _mm256_castsi256_ps(i ? _mm256_and_si256(both, _mm256_set1_epi32((int)0xffff0000u))
                                 : _mm256_slli_epi32(both, 16));
}
PRIMITIVE vf_load_int8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
static inline __attribute__((always_inline)) void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
PRIMITIVE vf_set1(float x) { return _mm256_set1_ps(x); }
PRIMITIVE vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
PRIMITIVE vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
PRIMITIVE vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
PRIMITIVE vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
PRIMITIVE vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
PRIMITIVE vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
PRIMITIVE vf_min(vf a, vf b) { return _mm256_min_ps(a, b); } /* b where either is NaN */
PRIMITIVE vf_max(vf a, vf b) { return _mm256_max_ps(a, b); } /* likewise */
PRIMITIVE vf_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
PRIMITIVE vf_copysign(vf magnitude, vf sign)
{
    return _mm256_or_ps(vf_abs(magnitude), _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
}
PRIMITIVE vf_reciprocal(vf x) { return _mm256_div_ps(_mm256_set1_ps(1.0f), x); }
PRIMITIVE vf_lookup8(const float *table, vf k)
{
    return _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), _mm256_castps_si256(k));
}
PRIMITIVE vf_add_exponent(vf x, vf k)
{
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_castps_si256(x), _mm256_slli_epi32(_mm256_castps_si256(k), 20)));
}
PRIMITIVE vf_select_less(vf a, vf b, vf x, vf y) { return _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_LT_OQ)); }
static inline __attribute__((always_inline)) void vf_keep(vf *x) { __asm__("" : "+x"(*x)); }

/* clang-format on */
#include "vec_simd.h"

const struct vec_ops vec_avx2 = VEC_SIMD_TABLE("avx2");
