/* The packed kernels for AVX2 with FMA: 8 lanes, 16 registers. */
#include <immintrin.h>
#include <stddef.h>

typedef __m256 vf;
enum { vf_lanes = 8 };
#define TILE_ROWS 3
/* clang-format off */
#define PRIMITIVE static inline __attribute__((always_inline)) vf

PRIMITIVE vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline __attribute__((always_inline)) void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
PRIMITIVE vf_set1(float x) { return _mm256_set1_ps(x); }
PRIMITIVE vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
PRIMITIVE vf_fnma(vf a, vf b, vf c) { return _mm256_fnmadd_ps(a, b, c); }
PRIMITIVE vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
PRIMITIVE vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
PRIMITIVE vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
PRIMITIVE vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
PRIMITIVE vf_min(vf a, vf b) { return _mm256_min_ps(a, b); } /* b where either is NaN */
PRIMITIVE vf_abs(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
PRIMITIVE vf_copysign(vf magnitude, vf sign)
{
    return _mm256_or_ps(vf_abs(magnitude), _mm256_and_ps(_mm256_set1_ps(-0.0f), sign));
}
PRIMITIVE vf_round(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
PRIMITIVE vf_scale2(vf n)
{
    __m256i exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return _mm256_castsi256_ps(_mm256_slli_epi32(exponent, 23));
}
PRIMITIVE vf_select_negative(vf x, vf a, vf b) { return _mm256_blendv_ps(b, a, x); }

/* clang-format on */
#include "vec_simd.h"

const struct vec_ops vec_avx2 = VEC_SIMD_TABLE("avx2");
