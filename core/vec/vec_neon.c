/* The packed kernels for NEON of arm64: 4 lanes, 32 registers. */
#include <arm_neon.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef float32x4_t vf;
enum { vf_lanes = 4 };
#define REGISTERS 32
/* clang-format off */
#define PRIMITIVE static inline __attribute__((always_inline)) vf

PRIMITIVE vf_load(const float *p) { return vld1q_f32(p); }
PRIMITIVE vf_load_bf16(const uint16_t *p, size_t i)
{
    uint32x4_t both = vreinterpretq_u32_u16(vld1q_u16(p));
    return vreinterpretq_f32_u32(i ? vandq_u32(both, vdupq_n_u32(0xffff0000u)) : vshlq_n_u32(both, 16));
}
PRIMITIVE vf_load_int8(const int8_t *p)
{
    uint32_t four;
    memcpy(&four, p, sizeof four);
    int16x4_t wide = vget_low_s16(vmovl_s8(vcreate_s8(four)));
    return vcvtq_f32_s32(vmovl_s16(wide));
}
static inline __attribute__((always_inline)) void vf_store(float *p, vf x) { vst1q_f32(p, x); }
PRIMITIVE vf_set1(float x) { return vdupq_n_f32(x); }
PRIMITIVE vf_fma(vf a, vf b, vf c) { return vfmaq_f32(c, a, b); }
PRIMITIVE vf_fnma(vf a, vf b, vf c) { return vfmsq_f32(c, a, b); }
PRIMITIVE vf_add(vf a, vf b) { return vaddq_f32(a, b); }
PRIMITIVE vf_sub(vf a, vf b) { return vsubq_f32(a, b); }
PRIMITIVE vf_mul(vf a, vf b) { return vmulq_f32(a, b); }
PRIMITIVE vf_div(vf a, vf b) { return vdivq_f32(a, b); }
PRIMITIVE vf_min(vf a, vf b) { return vbslq_f32(vcltq_f32(a, b), a, b); } /* b where either is NaN */
PRIMITIVE vf_max(vf a, vf b) { return vbslq_f32(vcgtq_f32(a, b), a, b); } /* likewise */
PRIMITIVE vf_abs(vf x) { return vabsq_f32(x); }
PRIMITIVE vf_copysign(vf magnitude, vf sign) { return vbslq_f32(vdupq_n_u32(0x80000000), sign, magnitude); }
PRIMITIVE vf_reciprocal(vf x) { return vdivq_f32(vdupq_n_f32(1.0f), x); }
PRIMITIVE vf_lookup8(const float *table, vf k)
{
    /* the bytes of float j are 4 j .. 4 j + 3 */
    uint32x4_t j = vandq_u32(vreinterpretq_u32_f32(k), vdupq_n_u32(7));
    uint32x4_t bytes = vmlaq_n_u32(vdupq_n_u32(0x03020100), j, 0x04040404);
    uint8x16x2_t both = {{vld1q_u8((const uint8_t *)table), vld1q_u8((const uint8_t *)(table + 4))}};
    return vreinterpretq_f32_u8(vqtbl2q_u8(both, vreinterpretq_u8_u32(bytes)));
}
PRIMITIVE vf_add_exponent(vf x, vf k)
{
    return vreinterpretq_f32_u32(vaddq_u32(vreinterpretq_u32_f32(x), vshlq_n_u32(vreinterpretq_u32_f32(k), 20)));
}
PRIMITIVE vf_select_less(vf a, vf b, vf x, vf y) { return vbslq_f32(vcltq_f32(a, b), x, y); }
static inline __attribute__((always_inline)) void vf_keep(vf *x) { __asm__("" : "+w"(*x)); }

/* clang-format on */
#include "vec_simd.h"

const struct vec_ops vec_neon = VEC_SIMD_TABLE("neon");
