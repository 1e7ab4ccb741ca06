/* The packed kernels, written once over a handful of vector primitives. Included by one file per instruction set,
   which has defined before:
     vf, vf_lanes                        a vector of floats and its length
     vf_load vf_store vf_set1 vf_fma vf_fnma vf_add vf_sub vf_mul vf_div vf_abs vf_min vf_max (b where either is NaN)
     vf_load_bf16 vf_load_int8           weights of those formats as floats
     vf_copysign(magnitude, sign) vf_select_less(a, b, x, y): x where a < b, else y; vf_any_less(a, b)
     vf_lookup8(table, k)                table[k mod 8] for whole k in the low bits of a float
     vf_add_exponent(x, k)               x with 2^20 k added to its bits
     vf_reciprocal(x)                    1 / x to 14 bits at least
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

#include "vec_math.h"

/* ---- register tiles ---- */

/* to = from + x W for some rows and the vectors of one panel, or of `panels` neighbouring ones. */
struct tile {
    const void *w;
    const float *scales; /* of int8 weights, one for each column */
    size_t depth;
    const float *x;
    size_t x_stride;
    const float *from;
    size_t from_stride;
    float *to;
    size_t to_stride;
};

/* Every accumulator sums in the order of k, whatever the shape of the tile. Each weight vector is loaded once and meets
   every row while the rows' broadcasts stay in registers: on AVX2 that is what fits 16 registers (12 sums, 3
   broadcasts, 1 weight). */
INLINE void multiply(const struct tile *t, enum packed_format format, size_t rows, size_t panels, size_t vectors)
{
    const size_t width = vectors * vf_lanes;
    vf sums[24];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < panels * vectors; v++)
            sums[r * panels * vectors + v] =
                format == PACKED_INT8 ? vf_set1(0.0f) : vf_load(t->from + r * t->from_stride + v * vf_lanes);
    }
    const float *x = t->x;
    const size_t x_stride = t->x_stride, depth = t->depth;
    const float *w32 = t->w;
    const uint16_t *w16 = t->w;
    const int8_t *w8 = t->w;
    for (size_t k = 0; k < depth; k++) {
        vf broadcast[TILE_ROWS];
        UNROLL
        for (size_t r = 0; r < rows; r++)
            broadcast[r] = vf_set1(x[r * x_stride + k]);
        UNROLL
        for (size_t p = 0; p < panels; p++) {
            UNROLL
            for (size_t v = 0; v < vectors; v++) {
                size_t at = p * depth * width + k * width + v * vf_lanes;
                vf weight = format == PACKED_INT8   ? vf_load_int8(w8 + at)
                            : format == PACKED_BF16 ? vf_load_bf16(w16 + at)
                                                    : vf_load(w32 + at);
                UNROLL
                for (size_t r = 0; r < rows; r++) {
                    size_t i = (r * panels + p) * vectors + v;
                    sums[i] = vf_fma(broadcast[r], weight, sums[i]);
                }
            }
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < panels * vectors; v++) {
            vf sum = sums[r * panels * vectors + v];
            if (format == PACKED_INT8)
                sum = vf_fma(sum, vf_load(t->scales + v * vf_lanes),
                             vf_load(t->from + r * t->from_stride + v * vf_lanes));
            vf_store(t->to + r * t->to_stride + v * vf_lanes, sum);
        }
    }
}

/* clang-format off */
/* One function per shape: the sums get all registers, which they do not when the epilogues are inlined beside them. */
typedef void tile_function(const struct tile *t);
#define TILE(format, name, rows, panels, vectors)                                                                      \
    static __attribute__((noinline)) void tile_##name##_##rows##x##panels##x##vectors(const struct tile *t)            \
    {                                                                                                                  \
        multiply(t, format, rows, panels, vectors);                                                                    \
    }
#define TILES_OF_ROWS(format, name, rows)                                                                              \
    TILE(format, name, rows, 1, 1) TILE(format, name, rows, 1, 2)                                                      \
    TILE(format, name, rows, 1, 3) TILE(format, name, rows, 1, 4)
#define ROW_OF_TILES(name, rows)                                                                                       \
    {tile_##name##_##rows##x1x1, tile_##name##_##rows##x1x2, tile_##name##_##rows##x1x3, tile_##name##_##rows##x1x4}
/* A single row meets two panels at a time: the sums of one are too few to hide the latency of FMA. */
#define PAIR_OF_TILES(name) {tile_##name##_1x2x1, tile_##name##_1x2x2, tile_##name##_1x2x3, tile_##name##_1x2x4}
#define TILES_OF_PAIRS(format, name)                                                                                   \
    TILE(format, name, 1, 2, 1) TILE(format, name, 1, 2, 2) TILE(format, name, 1, 2, 3) TILE(format, name, 1, 2, 4)
#if TILE_ROWS == 3
#define TILES(format, name)                                                                                            \
    TILES_OF_PAIRS(format, name)                                                                                       \
    TILES_OF_ROWS(format, name, 1) TILES_OF_ROWS(format, name, 2) TILES_OF_ROWS(format, name, 3)
#define TABLE_OF_TILES(name)                                                                                           \
    {PAIR_OF_TILES(name), ROW_OF_TILES(name, 1), ROW_OF_TILES(name, 2), ROW_OF_TILES(name, 3)}
#else
#define TILES(format, name)                                                                                            \
    TILES_OF_PAIRS(format, name)                                                                                       \
    TILES_OF_ROWS(format, name, 1) TILES_OF_ROWS(format, name, 2) TILES_OF_ROWS(format, name, 3)                       \
    TILES_OF_ROWS(format, name, 4) TILES_OF_ROWS(format, name, 5) TILES_OF_ROWS(format, name, 6)
#define TABLE_OF_TILES(name)                                                                                           \
    {PAIR_OF_TILES(name), ROW_OF_TILES(name, 1), ROW_OF_TILES(name, 2), ROW_OF_TILES(name, 3),                         \
     ROW_OF_TILES(name, 4), ROW_OF_TILES(name, 5), ROW_OF_TILES(name, 6)}
#endif
TILES(PACKED_FLOAT32, f32)
TILES(PACKED_BF16, bf16)
TILES(PACKED_INT8, int8)
/* [format][rows; 0: one row, two panels][vectors - 1] */
static tile_function *const tiles[3][TILE_ROWS + 1][PACKED_PANEL] = {
    [PACKED_FLOAT32] = TABLE_OF_TILES(f32), [PACKED_BF16] = TABLE_OF_TILES(bf16), [PACKED_INT8] = TABLE_OF_TILES(int8)};
/* clang-format on */

/* ---- panels ---- */

/* What becomes of the sums of a row's vectors, in a step: [vectors * lanes], the first being vector `first` of w. */
typedef void finish_function(const struct vec_step *s, size_t row, size_t first, size_t vectors, const float *sums);

/* A product over panels. With finish the sums stay in a small buffer, from which it makes states; else they go to
   to [rows, columns]. from is [rows, from_stride] in the order of columns. */
struct product {
    const struct packed *w;
    struct vec_span span;
    size_t rows;
    const float *x;
    size_t x_stride;
    const float *from;
    size_t from_stride;
    float *to;
    finish_function *finish;
    const struct vec_step *step;
};

/* All rows against one panel, or a single row against two; in tiles as equal as can be. */
static void run_panel(const struct product *job, size_t panel, size_t panels, size_t vectors)
{
    _Alignas(64) float sums[TILE_ROWS * PACKED_PANEL * vf_lanes];
    const struct packed *w = job->w;
    size_t first = panel * w->panel, width = vectors * vf_lanes, columns = packed_columns(w);
    size_t count = (job->rows + TILE_ROWS - 1) / TILE_ROWS;
    struct tile t = {.w = packed_at(w, first * vf_lanes * w->depth),
                     .scales = w->scales + first * vf_lanes,
                     .depth = w->depth,
                     .x_stride = job->x_stride,
                     .from_stride = job->from_stride,
                     .to = sums,
                     .to_stride = job->finish ? panels * width : columns};
    for (size_t i = 0, row = 0; i < count; i++) {
        size_t rows = job->rows / count + (i < job->rows % count);
        t.x = job->x + row * job->x_stride;
        t.from = job->from + row * job->from_stride + first * vf_lanes;
        if (!job->finish)
            t.to = job->to + row * columns + first * vf_lanes;
        tiles[w->format][panels == 2 ? 0 : rows][vectors - 1](&t);
        for (size_t r = 0; job->finish && r < rows; r++)
            for (size_t p = 0; p < panels; p++)
                job->finish(job->step, row + r, first + p * vectors, vectors, sums + (r * panels + p) * width);
        row += rows;
    }
}

static void run_panels(const struct product *job)
{
    const struct packed *w = job->w;
    size_t count = job->span.end - job->span.first, full = w->vectors / w->panel;
    for (size_t i = 0; i < count;) {
        size_t panel = job->span.reverse ? job->span.end - 1 - i : job->span.first + i, panels = 1;
        if (job->rows == 1 && i + 1 < count && panel < full && (job->span.reverse || panel + 1 < full))
            panels = 2;
        panel -= job->span.reverse && panels == 2;
        run_panel(job, panel, panels, panel < full ? w->panel : w->vectors - full * w->panel);
        i += panels;
    }
}

static void simd_product(const struct packed *w, struct vec_span span, size_t rows, const float *x, size_t x_stride,
                         const float *from, size_t from_stride, float *z)
{
    run_panels(&(struct product){.w = w,
                                 .span = span,
                                 .rows = rows,
                                 .x = x,
                                 .x_stride = x_stride,
                                 .from = from,
                                 .from_stride = from_stride,
                                 .to = z});
}

/* ---- steps ---- */

static __attribute__((noinline)) vf activate_any(const struct activation *f, vf x)
{
    return activate(f, x);
}

INLINE vf gate(const struct vec_step *s, bool common, vf x)
{
    return common ? sigmoid(x) : activate_any(s->recurrent_activation, x);
}

INLINE vf candidate(const struct vec_step *s, bool common, vf x)
{
    return common ? hyperbolic_tangent(x) : activate_any(s->activation, x);
}

/* Each of these comes twice: with sigmoid and tanh inlined, and for any activations. */
#define FINISH(name)                                                                                                   \
    static void name##_common(const struct vec_step *s, size_t row, size_t first, size_t vectors, const float *sums)   \
    {                                                                                                                  \
        name(s, true, row, first, vectors, sums);                                                                      \
    }                                                                                                                  \
    static void name##_any(const struct vec_step *s, size_t row, size_t first, size_t vectors, const float *sums)      \
    {                                                                                                                  \
        name(s, false, row, first, vectors, sums);                                                                     \
    }

INLINE void lstm(const struct vec_step *s, bool common, size_t row, size_t first, size_t vectors, const float *sums)
{
    (void)vectors;
    size_t at = row * s->stride + first / 4 * vf_lanes;
    vf i = gate(s, common, vf_load(sums)), f = gate(s, common, vf_load(sums + vf_lanes));
    vf g = candidate(s, common, vf_load(sums + 2 * vf_lanes)), o = gate(s, common, vf_load(sums + 3 * vf_lanes));
    vf c = vf_fma(f, vf_load(s->c + at), vf_mul(i, g));
    vf_store(s->c + at, c);
    vf_store(s->h + at, vf_mul(o, candidate(s, common, c)));
}
FINISH(lstm)

/* h' = z h + (1 - z) n */
INLINE void gru_state(const struct vec_step *s, size_t at, vf z, vf n)
{
    vf_store(s->h + at, vf_fma(z, vf_load(s->h_prev + at), vf_mul(vf_sub(vf_set1(1.0f), z), n)));
}

/* The sums are h U + b1 alone: that of the candidate is multiplied by r before x K + b0 joins. */
INLINE void gru_after(const struct vec_step *s, bool common, size_t row, size_t first, size_t vectors,
                      const float *sums)
{
    (void)vectors;
    const float *z = s->z + row * s->z_stride + first * vf_lanes;
    vf update = gate(s, common, vf_add(vf_load(sums), vf_load(z)));
    vf reset = gate(s, common, vf_add(vf_load(sums + vf_lanes), vf_load(z + vf_lanes)));
    vf n = candidate(s, common, vf_fma(reset, vf_load(sums + 2 * vf_lanes), vf_load(z + 2 * vf_lanes)));
    gru_state(s, row * s->stride + first / 3 * vf_lanes, update, n);
}
FINISH(gru_after)

/* z stays where its pre-activation was, r h goes to reset_h. */
INLINE void gru_gates(const struct vec_step *s, bool common, size_t row, size_t first, size_t vectors,
                      const float *sums)
{
    (void)vectors;
    size_t unit = first / 2 * vf_lanes, at = row * s->stride + unit;
    float *z = s->z + row * s->z_stride + 3 * unit;
    vf reset = gate(s, common, vf_add(vf_load(sums + vf_lanes), vf_load(z + vf_lanes)));
    vf_store(z, gate(s, common, vf_add(vf_load(sums), vf_load(z))));
    vf_store(s->reset_h + at, vf_mul(reset, vf_load(s->h_prev + at)));
}
FINISH(gru_gates)

INLINE void gru_candidate(const struct vec_step *s, bool common, size_t row, size_t first, size_t vectors,
                          const float *sums)
{
    for (size_t v = 0; v < vectors; v++) {
        size_t unit = (first + v) * vf_lanes;
        const float *z = s->z + row * s->z_stride + 3 * unit;
        vf n = candidate(s, common, vf_add(vf_load(sums + v * vf_lanes), vf_load(z + 2 * vf_lanes)));
        gru_state(s, row * s->stride + unit, vf_load(z), n);
    }
}
FINISH(gru_candidate)

INLINE void simple_rnn(const struct vec_step *s, bool common, size_t row, size_t first, size_t vectors,
                       const float *sums)
{
    float *h = s->h + row * s->stride + first * vf_lanes;
    for (size_t v = 0; v < vectors; v++)
        vf_store(h + v * vf_lanes, candidate(s, common, vf_load(sums + v * vf_lanes)));
}
FINISH(simple_rnn)

static bool is_common(const struct vec_step *s)
{
    return s->activation->kind == ACT_TANH && s->recurrent_activation->kind == ACT_SIGMOID;
}

static void simd_lstm(const struct vec_step *s, struct vec_span span)
{
    run_panels(&(struct product){.w = s->u,
                                 .span = span,
                                 .rows = s->rows,
                                 .x = s->h_prev,
                                 .x_stride = s->stride,
                                 .from = s->z,
                                 .from_stride = s->z_stride,
                                 .finish = is_common(s) ? lstm_common : lstm_any,
                                 .step = s});
}

static void simd_gru_after(const struct vec_step *s, struct vec_span span)
{
    run_panels(&(struct product){.w = s->u,
                                 .span = span,
                                 .rows = s->rows,
                                 .x = s->h_prev,
                                 .x_stride = s->stride,
                                 .from = s->start,
                                 .finish = is_common(s) ? gru_after_common : gru_after_any,
                                 .step = s});
}

static void simd_gru_gates(const struct vec_step *s, struct vec_span span)
{
    run_panels(&(struct product){.w = s->u,
                                 .span = span,
                                 .rows = s->rows,
                                 .x = s->h_prev,
                                 .x_stride = s->stride,
                                 .from = s->start,
                                 .finish = is_common(s) ? gru_gates_common : gru_gates_any,
                                 .step = s});
}

static void simd_gru_candidate(const struct vec_step *s, struct vec_span span)
{
    run_panels(&(struct product){.w = s->u,
                                 .span = span,
                                 .rows = s->rows,
                                 .x = s->reset_h,
                                 .x_stride = s->stride,
                                 .from = s->start,
                                 .finish = is_common(s) ? gru_candidate_common : gru_candidate_any,
                                 .step = s});
}

static void simd_simple_rnn(const struct vec_step *s, struct vec_span span)
{
    run_panels(&(struct product){.w = s->u,
                                 .span = span,
                                 .rows = s->rows,
                                 .x = s->h_prev,
                                 .x_stride = s->stride,
                                 .from = s->z,
                                 .from_stride = s->z_stride,
                                 .finish = s->activation->kind == ACT_TANH ? simple_rnn_common : simple_rnn_any,
                                 .step = s});
}

/* ---- activations ---- */

INLINE void apply(const struct activation *f, size_t n, float *x)
{
    size_t i = 0;
    for (; i + vf_lanes <= n; i += vf_lanes)
        vf_store(x + i, activate(f, vf_load(x + i)));
    if (i < n) {
        float last[vf_lanes] = {0};
        __builtin_memcpy(last, x + i, (n - i) * sizeof *x);
        vf_store(last, activate(f, vf_load(last)));
        __builtin_memcpy(x + i, last, (n - i) * sizeof *x);
    }
}

static void simd_activate(const struct activation *activation, size_t n, float *x)
{
    apply(activation, n, x);
}

#define VEC_SIMD_TABLE(isa)                                                                                            \
    {                                                                                                                  \
        .name = isa, .lanes = vf_lanes, .product = simd_product, .lstm = simd_lstm, .gru_after = simd_gru_after,       \
        .gru_gates = simd_gru_gates, .gru_candidate = simd_gru_candidate, .simple_rnn = simd_simple_rnn,               \
        .activate = simd_activate                                                                                      \
    }

#endif
