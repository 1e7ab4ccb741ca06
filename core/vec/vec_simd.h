/* The packed kernels, written once over a handful of vector primitives. Included by one file per instruction set,
   which has defined before:
     vf, vf_lanes                        a vector of floats and its length
     vf_load vf_store vf_set1 vf_fma vf_fnma vf_add vf_sub vf_mul vf_div vf_max vf_min vf_abs
     vf_copysign(magnitude, sign) vf_round vf_scale2(n): 2^n for whole n in -126..127
     vf_select_negative(x, a, b)         a where the sign bit of x is set, else b
     TILE_ROWS                           rows of the largest register tile
   Everything here is static, so nothing built for one instruction set is ever called from another. */
#ifndef RNN_VEC_SIMD_H
#define RNN_VEC_SIMD_H

#include "vec.h"

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* ---- functions ---- */

/* r and n with y = n ln 2 + r, |r| <= ln 2 / 2, and (e^r - 1) by a polynomial of degree 7 fitted at Chebyshev
   nodes, relative error 5e-10. y within -104..88. */
INLINE vf exp_reduced(vf y, vf *n)
{
    vf k = vf_round(vf_mul(y, vf_set1(1.44269504088896341f)));
    vf r = vf_fnma(k, vf_set1(0.693145751953125f), y);
    r = vf_fnma(k, vf_set1(1.42860682030941723212e-6f), r);
    vf p = vf_fma(vf_set1(0.000198909911f), r, vf_set1(0.00139336498f));
    p = vf_fma(p, r, vf_set1(0.00833331048f));
    p = vf_fma(p, r, vf_set1(0.0416664667f));
    p = vf_fma(p, r, vf_set1(0.166666672f));
    p = vf_fma(p, r, vf_set1(0.5f));
    *n = k;
    return vf_fma(vf_mul(r, r), p, r);
}

/* numerator / (a + b), a >= |b|, with the rounding error of the sum put right. */
INLINE vf divide_by_sum(vf numerator, vf a, vf b)
{
    vf sum = vf_add(a, b), lost = vf_sub(b, vf_sub(sum, a));
    vf reciprocal = vf_div(vf_set1(1.0f), sum);
    vf q = vf_mul(numerator, reciprocal);
    vf rest = vf_fnma(q, lost, vf_fnma(q, sum, numerator));
    return vf_fma(rest, reciprocal, q);
}

/* 1 / (1 + e^-x), by e^-|x| so that nothing overflows. The smallest results are e^-87, not denormal. The order of
   the arguments of min keeps NaN. */
INLINE vf sigmoid(vf x)
{
    vf n, y = vf_sub(vf_set1(0.0f), vf_min(vf_set1(87.0f), vf_abs(x)));
    vf e = exp_reduced(y, &n), scale = vf_scale2(n);
    e = vf_fma(e, scale, scale);
    return divide_by_sum(vf_select_negative(x, e, vf_set1(1.0f)), vf_set1(1.0f), e);
}

/* -expm1(-2|x|) / (2 + expm1(-2|x|)) with the sign of x; past |x| = 9.1 the result is 1 in float32. */
INLINE vf hyperbolic_tangent(vf x)
{
    vf n, y = vf_mul(vf_set1(-2.0f), vf_min(vf_set1(10.0f), vf_abs(x)));
    vf p = exp_reduced(y, &n), scale = vf_scale2(n);
    vf em1 = vf_fma(p, scale, vf_sub(scale, vf_set1(1.0f)));
    return vf_copysign(divide_by_sum(vf_sub(vf_set1(0.0f), em1), vf_set1(2.0f), em1), x);
}

/* clang-format off */
/* ---- register tiles ---- */

/* What follows the sums of a tile, and where they start. */
enum epilogue { STORE_FROM_ROW, STORE_FROM_Z, LSTM, GRU, SIMPLE_RNN };

/* One call of a kernel: the arguments of vec.h in one place. */
struct job {
    const struct packed *w;
    const float *x;
    size_t x_stride;
    const float *start; /* one row; for GRU that of the candidate gate */
    const float *z_in;
    float *z_out;
    float *c;
    const float *h_prev;
    float *h;
    size_t stride;
};

/* sums[r][p][v] += x[r][k] * w[p][k][v] for all k in order, with rows x panels x vectors accumulators. Each weight
   vector is loaded once and meets every row while the rows' broadcasts stay in registers: on AVX2 that is what
   fits 16 registers (12 sums, 3 broadcasts, 1 weight). */
INLINE void multiply(const struct job *job, const float *w, size_t panel_floats, const float *x, size_t rows,
                     size_t panels, size_t vectors, vf *sums)
{
    for (size_t k = 0; k < job->w->depth; k++) {
        vf broadcast[8];
        UNROLL
        for (size_t r = 0; r < rows; r++)
            broadcast[r] = vf_set1(x[r * job->x_stride + k]);
        UNROLL
        for (size_t p = 0; p < panels; p++) {
            UNROLL
            for (size_t v = 0; v < vectors; v++) {
                vf weight = vf_load(w + p * panel_floats + (k * vectors + v) * vf_lanes);
                UNROLL
                for (size_t r = 0; r < rows; r++) {
                    size_t i = (r * panels + p) * vectors + v;
                    sums[i] = vf_fma(broadcast[r], weight, sums[i]);
                }
            }
        }
    }
}

/* Where the sums of a row's vectors start. column is that of the panel's first vector. */
INLINE void begin(const struct job *job, enum epilogue epilogue, size_t row, size_t column, size_t vectors, vf *sums)
{
    const float *z = job->z_in + row * packed_columns(job->w) + column;
    UNROLL
    for (size_t v = 0; v < vectors; v++) {
        if (epilogue == STORE_FROM_ROW)
            sums[v] = vf_load(job->start + column + v * vf_lanes);
        else if (epilogue == GRU && v == 2)
            sums[v] = vf_load(job->start + column / 3);
        else
            sums[v] = vf_load(z + v * vf_lanes);
    }
}

/* Gates in registers become the new states of one vector of units (or `vectors` of them for SimpleRNN). */
INLINE void finish(const struct job *job, enum epilogue epilogue, size_t row, size_t column, size_t vectors,
                   const vf *sums)
{
    size_t state = row * job->stride;
    if (epilogue == LSTM) {
        size_t unit = column / 4;
        vf i = sigmoid(sums[0]), f = sigmoid(sums[1]), g = hyperbolic_tangent(sums[2]), o = sigmoid(sums[3]);
        vf c = vf_fma(f, vf_load(job->c + state + unit), vf_mul(i, g));
        vf_store(job->c + state + unit, c);
        vf_store(job->h + state + unit, vf_mul(o, hyperbolic_tangent(c)));
    } else if (epilogue == GRU) {
        size_t unit = column / 3;
        vf z = sigmoid(sums[0]), r = sigmoid(sums[1]);
        vf input = vf_load(job->z_in + row * packed_columns(job->w) + column + 2 * vf_lanes);
        vf n = hyperbolic_tangent(vf_fma(r, sums[2], input));
        vf h = vf_load(job->h_prev + state + unit);
        vf_store(job->h + state + unit, vf_fma(z, h, vf_mul(vf_sub(vf_set1(1.0f), z), n)));
    } else {
        UNROLL
        for (size_t v = 0; v < vectors; v++) {
            if (epilogue == SIMPLE_RNN)
                vf_store(job->h + state + column + v * vf_lanes, hyperbolic_tangent(sums[v]));
            else
                vf_store(job->z_out + row * packed_columns(job->w) + column + v * vf_lanes, sums[v]);
        }
    }
}

/* rows x panels x vectors at a time. */
INLINE void tile(const struct job *job, enum epilogue epilogue, size_t row, size_t column, const float *w, size_t rows,
                 size_t panels, size_t vectors)
{
    vf sums[TILE_ROWS * PACKED_PANEL > 8 ? TILE_ROWS * PACKED_PANEL : 8];
    size_t width = vectors * vf_lanes;
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t p = 0; p < panels; p++)
            begin(job, epilogue, row + r, column + p * width, vectors, sums + (r * panels + p) * vectors);
    }
    multiply(job, w, job->w->depth * width, job->x + row * job->x_stride, rows, panels, vectors, sums);
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t p = 0; p < panels; p++)
            finish(job, epilogue, row + r, column + p * width, vectors, sums + (r * panels + p) * vectors);
    }
}

/* clang-format on */
/* One or two panels (two only for a single row, whose chains of sums would be too few to hide the latency of FMA)
   against all rows, in tiles as equal as can be. */
INLINE void panel_rows(const struct job *job, enum epilogue epilogue, size_t rows, size_t column, const float *w,
                       size_t panels, size_t vectors)
{
    if (rows == 1) {
        tile(job, epilogue, 0, column, w, 1, panels, vectors);
        return;
    }
    size_t tiles = (rows + TILE_ROWS - 1) / TILE_ROWS;
    for (size_t t = 0, row = 0; t < tiles; t++) {
        size_t n = rows / tiles + (t < rows % tiles);
        switch (n) {
        case 1:
            tile(job, epilogue, row, column, w, 1, 1, vectors);
            break;
        case 2:
            tile(job, epilogue, row, column, w, 2, 1, vectors);
            break;
        case 3:
            tile(job, epilogue, row, column, w, 3, 1, vectors);
            break;
#if TILE_ROWS > 3
        case 4:
            tile(job, epilogue, row, column, w, 4, 1, vectors);
            break;
        case 5:
            tile(job, epilogue, row, column, w, 5, 1, vectors);
            break;
        default:
            tile(job, epilogue, row, column, w, 6, 1, vectors);
            break;
#endif
        }
        row += n;
    }
}

/* All panels of `vectors` vectors; a narrower last one is met by the calls with fewer. */
INLINE void all_panels(const struct job *job, enum epilogue epilogue, size_t rows, size_t first, size_t end,
                       size_t vectors)
{
    size_t width = vectors * vf_lanes, panel_floats = job->w->depth * width;
    const float *w = job->w->data + first * vf_lanes * job->w->depth;
    size_t column = first * vf_lanes, left = (end - first) / vectors;
    for (; rows == 1 && left >= 2; left -= 2, column += 2 * width, w += 2 * panel_floats)
        panel_rows(job, epilogue, rows, column, w, 2, vectors);
    for (; left; left--, column += width, w += panel_floats)
        panel_rows(job, epilogue, rows, column, w, 1, vectors);
}

/* For products and SimpleRNN, whose panels come in every width. */
INLINE void any_panels(const struct job *job, enum epilogue epilogue, size_t rows)
{
    size_t all = job->w->vectors, full = all / job->w->panel * job->w->panel;
    switch (job->w->panel) {
    case 4:
        all_panels(job, epilogue, rows, 0, full, 4);
        break;
    case 3:
        all_panels(job, epilogue, rows, 0, full, 3);
        break;
    default:
        all_panels(job, epilogue, rows, 0, full, 2);
        break;
    }
    switch (all - full) {
    case 3:
        all_panels(job, epilogue, rows, full, all, 3);
        break;
    case 2:
        all_panels(job, epilogue, rows, full, all, 2);
        break;
    case 1:
        all_panels(job, epilogue, rows, full, all, 1);
        break;
    default:
        break;
    }
}

/* ---- the table ---- */

static void simd_product(const struct packed *w, size_t rows, const float *x, size_t x_stride, const float *start,
                         float *z)
{
    struct job job = {.w = w, .x = x, .x_stride = x_stride, .start = start, .z_in = z, .z_out = z};
    any_panels(&job, STORE_FROM_ROW, rows);
}

static void simd_accumulate(const struct packed *w, size_t rows, const float *x, size_t x_stride, float *z)
{
    struct job job = {.w = w, .x = x, .x_stride = x_stride, .z_in = z, .z_out = z};
    any_panels(&job, STORE_FROM_Z, rows);
}

static void simd_lstm_step(const struct packed *u, size_t rows, const float *h_prev, const float *z, float *c, float *h,
                           size_t stride)
{
    struct job job = {.w = u, .x = h_prev, .x_stride = stride, .z_in = z, .c = c, .h = h, .stride = stride};
    all_panels(&job, LSTM, rows, 0, u->vectors, 4);
}

static void simd_gru_step(const struct packed *u, size_t rows, const float *h_prev, const float *z, const float *start,
                          float *h, size_t stride)
{
    struct job job = {
        .w = u, .x = h_prev, .x_stride = stride, .start = start, .z_in = z, .h_prev = h_prev, .h = h, .stride = stride};
    all_panels(&job, GRU, rows, 0, u->vectors, 3);
}

static void simd_simple_rnn_step(const struct packed *u, size_t rows, const float *h_prev, const float *z, float *h,
                                 size_t stride)
{
    struct job job = {.w = u, .x = h_prev, .x_stride = stride, .z_in = z, .h = h, .stride = stride};
    any_panels(&job, SIMPLE_RNN, rows);
}

INLINE void apply(vf (*function)(vf), size_t n, float *x)
{
    size_t i = 0;
    for (; i + vf_lanes <= n; i += vf_lanes)
        vf_store(x + i, function(vf_load(x + i)));
    if (i < n) {
        float last[vf_lanes] = {0};
        __builtin_memcpy(last, x + i, (n - i) * sizeof *x);
        vf_store(last, function(vf_load(last)));
        __builtin_memcpy(x + i, last, (n - i) * sizeof *x);
    }
}

static void simd_tanh(size_t n, float *x)
{
    apply(hyperbolic_tangent, n, x);
}

static void simd_sigmoid(size_t n, float *x)
{
    apply(sigmoid, n, x);
}

#define VEC_SIMD_TABLE(isa)                                                                                            \
    {                                                                                                                  \
        .name = isa, .lanes = vf_lanes, .product = simd_product, .accumulate = simd_accumulate,                        \
        .lstm_step = simd_lstm_step, .gru_step = simd_gru_step, .simple_rnn_step = simd_simple_rnn_step,               \
        .tanh = simd_tanh, .sigmoid = simd_sigmoid                                                                     \
    }

#endif
