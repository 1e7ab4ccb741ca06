/* Mathematical functions over vectors. They use the primitives that vec_simd.h lists; vec_simd.h includes this file.
   All exponentials use one reduction, e^y = T (1 + p) with T = 2^(k/8): a table of eight values in a register, and a
   short polynomial for the rest. Functions that promise 1 ulp carry the rounding errors of their sums with T.
   Coefficients are minimax fits (Lawson's algorithm); test_core_vec sweeps the errors, `make bench` over all 2^32
   inputs. Source of the method: Tang, "Table-Driven Implementation of the Exponential Function in IEEE Floating-Point
   Arithmetic", 1989. */
#ifndef RNN_VEC_MATH_H
#define RNN_VEC_MATH_H

/* 2^(j/8) rounded, its exponent lowered by j 2^20 in the bits so that adding k 2^20 scales by 2^(k/8). */
static const float exp_table[8] = {0x1.000000p0f,  0x1.f72b84p-1f, 0x1.f06fe0p-1f, 0x1.ebfdaep-1f,
                                   0x1.ea09e6p-1f, 0x1.eace54p-1f, 0x1.ee89fap-1f, 0x1.f5818ep-1f};
/* The rounding error of 2^(j/8), relative to 2^(j/8). */
static const float exp_table_rest[8] = {0.0f,
                                        -1.199215748926008e-08f,
                                        3.1934181521364735e-08f,
                                        -3.0990719324108795e-08f,
                                        1.7114270889351246e-08f,
                                        5.233334210430485e-09f,
                                        -1.4719605090363075e-08f,
                                        -6.128259677495862e-09f};

/* e^y = 2^(k/8) (1 + p), the error of p below 2^-28; k is returned as a whole number in the low bits of a float. y is
   sign * x, which costs nothing for a constant sign of 1 or -1. |x| below 2^20. */
INLINE vf exp_reduce(vf x, float sign, vf *p)
{
    const vf magic = vf_set1(0x1.8p23f);
    vf sum = vf_fma(x, vf_set1(sign * 11.541560327111707f), magic), k = vf_sub(sum, magic);
    vf r = vf_fnma(k, vf_set1(sign * 0.086639404296875f), x); /* exact */
    r = vf_fnma(k, vf_set1(sign * 3.993272912339307e-06f), r);
    vf q = vf_fma(vf_set1(0.04167063161730766f), r, vf_set1(sign * 0.1666802614927292f));
    q = vf_fma(vf_fma(q, r, vf_set1(0.5f)), vf_mul(r, r), vf_lookup8(exp_table_rest, sum));
    *p = sign > 0 ? vf_add(q, r) : vf_sub(q, r);
    return sum;
}

/* e^(sign x) = T (1 + p); x within -87..87. */
INLINE vf exp_split(vf x, float sign, vf *p)
{
    vf k = exp_reduce(x, sign, p);
    return vf_add_exponent(vf_lookup8(exp_table, k), k);
}

/* e^y everywhere: overflow, denormals. Scaled by 2^64 towards 1, and back at the end. */
INLINE vf exponential(vf y)
{
    const vf zero = vf_set1(0.0f);
    vf p, k = exp_reduce(vf_min(vf_set1(89.0f), vf_max(vf_set1(-104.0f), y)), 1, &p);
    vf shift = vf_select_less(y, zero, vf_set1(512.0f), vf_set1(-512.0f));
    vf back = vf_select_less(y, zero, vf_set1(0x1p-64f), vf_set1(0x1p64f));
    vf T = vf_add_exponent(vf_lookup8(exp_table, k), vf_add(k, shift));
    return vf_mul(vf_fma(T, p, T), back);
}

/* e^y - 1 for y <= 0. */
INLINE vf exponential_minus_1(vf y)
{
    vf p, T = exp_split(vf_max(vf_set1(-20.0f), y), 1, &p);
    return vf_fma(T, p, vf_sub(T, vf_set1(1.0f)));
}

/* 1 / (1 + T (1 + p)). error is the rounding error of 1 + T. */
INLINE vf reciprocal_of_sum(vf T, vf p, vf sum, vf error)
{
    vf D = vf_fma(T, p, sum), rest = vf_add(vf_fma(T, p, vf_sub(sum, D)), error);
    vf q = vf_reciprocal(D);
    return vf_fma(vf_fnma(q, rest, vf_fnma(q, D, vf_set1(1.0f))), q, q);
}

/* 1 / (1 + e^-x), but at least e^-87, which counts as 0, because denormals are flushed during the steps. The order of
   the arguments of min and max preserves NaN. */
INLINE vf sigmoid_of_step(vf x)
{
    const vf one = vf_set1(1.0f);
    vf p, T = exp_split(vf_min(vf_set1(30.0f), vf_max(vf_set1(-87.0f), x)), -1, &p), sum = vf_add(one, T);
    return reciprocal_of_sum(T, p, sum, vf_sub(vf_min(one, T), vf_sub(sum, vf_max(one, T))));
}

INLINE vf sigmoid(vf x)
{
    const vf low = vf_set1(-87.0f);
    return vf_select_less(x, low, exponential(vf_min(x, low)), sigmoid_of_step(x));
}

/* x + x^3 P(x^2) near 0, else 1 - 2 / (1 + e^2|x|), with the sign of x; past |x| = 9.1 the result is 1. */
INLINE vf hyperbolic_tangent(vf x)
{
    const vf one = vf_set1(1.0f);
    vf a = vf_abs(x), square = vf_mul(a, a), c = vf_min(vf_set1(10.0f), a);
    vf p, T = exp_split(vf_add(c, c), 1, &p), sum = vf_add(T, one);
    vf far = vf_fnma(vf_set1(2.0f), reciprocal_of_sum(T, p, sum, vf_sub(one, vf_sub(sum, T))), one);
    vf near = vf_fma(vf_set1(-0.006132200825959444f), square, vf_set1(0.020974716171622276f));
    near = vf_fma(near, square, vf_set1(-0.05382981151342392f));
    near = vf_fma(near, square, vf_set1(0.13332384824752808f));
    near = vf_fma(near, square, vf_set1(-0.3333331346511841f));
    near = vf_fma(near, vf_mul(square, a), a);
    return vf_copysign(vf_select_less(a, vf_set1(0.55f), near, far), x);
}

/* log(1 + e) for e within 0..1: 2 atanh(s), s = e / (2 + e). */
INLINE vf log_1_plus(vf e)
{
    vf s = vf_div(e, vf_add(vf_set1(2.0f), e)), square = vf_mul(s, s);
    vf p = vf_fma(vf_set1(0.2802446484565735f), square, vf_set1(0.27999138832092285f));
    p = vf_fma(p, square, vf_set1(0.4002169966697693f));
    p = vf_fma(p, square, vf_set1(0.6666641235351562f));
    return vf_fma(vf_mul(square, s), p, vf_add(s, s));
}

INLINE vf softplus(vf x)
{
    const vf zero = vf_set1(0.0f);
    return vf_add(vf_max(zero, x), log_1_plus(exponential(vf_sub(zero, vf_abs(x)))));
}

/* erf(x / sqrt 2) for x^2 < 2, relative error 2e-8 beside the rounding of sums: x times a polynomial of x^2, fitted to
   Chebyshev points. The last coefficient is the sum of two floats. */
INLINE vf error_near_zero(vf x)
{
    static const float P[] = {-5.3439539e-08f, 1.24497785e-06f, -1.87480455e-05f, 0.000230740145f,
                              -0.00237459177f, 0.0199470986f,   -0.132980764f,    -2.26937811e-08f};
    vf square = vf_mul(x, x), p = vf_set1(P[0]);
    UNROLL
    for (size_t i = 1; i < sizeof P / sizeof *P; i++)
        p = vf_fma(p, square, vf_set1(P[i]));
    return vf_fma(x, vf_set1(0.797884583f), vf_mul(x, p));
}

/* erfc(a) for a >= 0, relative error 2e-7: t e^(P(t) - a^2), t = 1 / (1 + a / 2). Source of P: Press et al., "Numerical
   Recipes in C", 1992, erfcc. */
INLINE vf complementary_error(vf a)
{
    static const float P[] = {0.17087277f,  -0.82215223f, 1.48851587f, -1.13520398f, 0.27886807f,
                              -0.18628806f, 0.09678418f,  0.37409196f, 1.00002368f,  -1.26551223f};
    vf c = vf_min(vf_set1(15.0f), a);
    vf t = vf_div(vf_set1(1.0f), vf_fma(vf_set1(0.5f), c, vf_set1(1.0f))), p = vf_set1(P[0]);
    UNROLL
    for (size_t i = 1; i < sizeof P / sizeof *P; i++)
        p = vf_fma(p, t, vf_set1(P[i]));
    return vf_mul(t, exponential(vf_fnma(c, c, p)));
}

INLINE vf clip(vf x, float low, float high)
{
    return vf_min(vf_set1(high), vf_max(vf_set1(low), x));
}

/* An activation of a vector. vec_activates() must be true for it. */
INLINE vf activate(const struct activation *f, vf x)
{
    const vf zero = vf_set1(0.0f), one = vf_set1(1.0f), half = vf_set1(0.5f), alpha = vf_set1(f->alpha);
    switch (f->kind) {
    case ACT_TANH:
        return hyperbolic_tangent(x);
    case ACT_SIGMOID:
        return sigmoid(x);
    case ACT_HARD_SIGMOID:
        return clip(vf_fma(vf_set1(0.2f), x, half), 0, 1);
    case ACT_HARD_SIGMOID_V3:
        return clip(vf_fma(vf_set1(1.0f / 6), x, half), 0, 1);
    case ACT_RELU: {
        vf threshold = vf_set1(f->threshold), max = vf_set1(f->max_value);
        vf below = f->alpha != 0 || f->threshold != 0 ? vf_mul(alpha, vf_sub(x, threshold)) : zero;
        vf y = f->threshold != 0 ? vf_select_less(threshold, x, x, below) : vf_select_less(x, zero, below, x);
        return vf_select_less(x, max, y, vf_min(max, x));
    }
    case ACT_RELU6:
        return clip(x, 0, 6);
    case ACT_LEAKY_RELU:
        return vf_select_less(x, zero, vf_mul(alpha, x), x);
    case ACT_ELU:
        return vf_select_less(x, zero, vf_mul(alpha, exponential_minus_1(vf_min(x, zero))), x);
    case ACT_SELU:
        return vf_select_less(x, zero, vf_mul(vf_set1(1.7580993408473766f), exponential_minus_1(vf_min(x, zero))),
                              vf_mul(vf_set1(1.0507009873554805f), x));
    case ACT_CELU:
        return vf_select_less(x, zero, vf_mul(alpha, exponential_minus_1(vf_min(vf_div(x, alpha), zero))), x);
    case ACT_SOFTPLUS:
        return softplus(x);
    case ACT_LOG_SIGMOID:
        return vf_sub(zero, softplus(vf_sub(zero, x)));
    case ACT_SOFTSIGN:
        return vf_div(x, vf_add(one, vf_abs(x)));
    case ACT_SWISH:
        return vf_mul(x, sigmoid(x));
    case ACT_EXPONENTIAL:
        return exponential(x);
    case ACT_GELU_TANH: {
        vf y = vf_mul(vf_mul(x, vf_set1(0.79788456080286535588f)), vf_fma(vf_mul(vf_set1(0.044715f), x), x, one));
        return vf_mul(x, sigmoid(vf_add(y, y))); /* (1 + tanh y) / 2 without cancellation */
    }
    case ACT_GELU: { /* x erfc(-x / sqrt 2) / 2; near 0, where that is less exact, x (1 + erf(x / sqrt 2)) / 2 */
        vf y = complementary_error(vf_mul(vf_abs(x), vf_set1(0.70710678118654752440f))), h = vf_mul(half, x);
        vf far = vf_mul(h, vf_select_less(x, zero, y, vf_sub(vf_set1(2.0f), y)));
        return vf_select_less(vf_mul(x, x), vf_set1(2.0f), vf_fma(h, error_near_zero(x), h), far);
    }
    case ACT_HARD_TANH:
        return clip(x, -1, 1);
    case ACT_HARD_SILU:
        return vf_mul(x, clip(vf_fma(vf_set1(1.0f / 6), x, half), 0, 1));
    default:
        return x;
    }
}

#endif
