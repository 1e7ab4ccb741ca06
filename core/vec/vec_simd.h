/* The packed kernels, written once over a handful of vector primitives. Included by one file per instruction set,
   which has defined before:
     vf, vf_lanes                        a vector of floats and its length
     vf_load vf_store vf_set1 vf_fma vf_fnma vf_add vf_sub vf_mul vf_div vf_abs vf_min vf_max (b where either is NaN)
     vf_load_int8(p)                     weights as floats
     vf_load_bf16(p, i)                  the same of the i-th of the two that stand together in 32 bits
     vf_copysign(magnitude, sign) vf_select_less(a, b, x, y): x where a < b, else y
     vf_lookup8(table, k)                table[k mod 8] for whole k in the low bits of a float
     vf_add_exponent(x, k)               x with 2^20 k added to its bits
     vf_reciprocal(x)                    1 / x to 14 bits at least
     vf_keep(&x)                         nothing, but x stays in its register: gcc would load it again for each use
     REGISTERS                           how many vectors the registers hold
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

/* The most rows of a tile of four vectors, and of fewer. */
#if REGISTERS == 16
enum { TILE_ROWS = 3, TILE_ROWS_OF_3 = 4 };
#else
enum { TILE_ROWS = 6, TILE_ROWS_OF_3 = 6 };
#endif

/* to = x W + from for some rows and the vectors of one panel, or of `panels` neighbouring ones. */
struct tile {
    const void *w;
    const float *scales; /* of int8 weights, one for each column */
    size_t depth, panel; /* panel: numbers from one panel to the next */
    const float *x;
    size_t x_stride;
    const float *from;
    size_t from_stride;
    float *to;
    size_t to_stride;
};

/* Every accumulator sums in the order of k, in tiles of every shape. `from` is added last: a sum that began with a bias
   of 1 would be rounded to the bias's last place at every step. Each weight vector is loaded once and multiplied
   with every row, while the rows' broadcasts stay in registers. On AVX2 this fits 16 registers (12 sums, 3 broadcasts,
   1 weight). If the broadcasts do not fit, the weights stay in registers instead (12 sums, 3 weights, 1 broadcast). */
INLINE void multiply(const struct tile *t, enum packed_format format, size_t rows, size_t panels, size_t vectors)
{
    const size_t width = vectors * vf_lanes;
    vf sums[24];
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < panels * vectors; v++)
            sums[r * panels * vectors + v] = vf_set1(0.0f);
    }
    const float *x = t->x;
    const size_t x_stride = t->x_stride, depth = t->depth;
    const float *w32 = t->w;
    const uint16_t *w16 = t->w;
    const int8_t *w8 = t->w;
    const size_t group = packed_group(format), panel = t->panel;
    for (size_t k = 0; k < depth; k += group) {
        UNROLL
        for (size_t g = 0; g < group; g++) {
            if (group > 1 && k + g >= depth)
                break;
            if (group > 1 && REGISTERS == 16)
                __asm__(""
                        : "+r"(w16)); /* loaded again: the registers cannot hold both halves of a pair beside the
                                            sums */
            const bool rows_stay = rows * vectors + rows < REGISTERS;
            vf broadcast[TILE_ROWS_OF_3], weights[PACKED_PANEL];
            UNROLL
            for (size_t r = 0; rows_stay && r < rows; r++)
                broadcast[r] = vf_set1(x[r * x_stride + k + g]);
            UNROLL
            for (size_t p = 0; p < panels; p++) {
                UNROLL
                for (size_t v = 0; v < vectors; v++) {
                    size_t at = p * panel + k * width + v * vf_lanes * group;
                    weights[v] = format == PACKED_INT8   ? vf_load_int8(w8 + at)
                                 : format == PACKED_BF16 ? vf_load_bf16(w16 + at, g)
                                                         : vf_load(w32 + at);
                    if (rows > 1)
                        vf_keep(&weights[v]);
                    UNROLL
                    for (size_t r = 0; rows_stay && r < rows; r++) {
                        size_t i = (r * panels + p) * vectors + v;
                        sums[i] = vf_fma(broadcast[r], weights[v], sums[i]);
                    }
                }
            }
            UNROLL
            for (size_t r = 0; !rows_stay && r < rows; r++) {
                vf one = vf_set1(x[r * x_stride + k + g]);
                vf_keep(&one);
                UNROLL
                for (size_t v = 0; v < vectors; v++)
                    sums[r * vectors + v] = vf_fma(one, weights[v], sums[r * vectors + v]);
            }
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++) {
        UNROLL
        for (size_t v = 0; v < panels * vectors; v++) {
            vf sum = sums[r * panels * vectors + v], from = vf_load(t->from + r * t->from_stride + v * vf_lanes);
            sum = format == PACKED_INT8 ? vf_fma(sum, vf_load(t->scales + v * vf_lanes), from) : vf_add(sum, from);
            vf_store(t->to + r * t->to_stride + v * vf_lanes, sum);
        }
    }
}

/* clang-format off */
/* One function for each shape: the sums then get all registers. If epilogues are inlined into a tile, gcc spills
   sums. */
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
/* A single row is multiplied with two panels at a time: the sums of one panel are too few to hide the latency of
   FMA. */
#define PAIR_OF_TILES(name) {tile_##name##_1x2x1, tile_##name##_1x2x2, tile_##name##_1x2x3, tile_##name##_1x2x4}
#define TILES_OF_PAIRS(format, name)                                                                                   \
    TILE(format, name, 1, 2, 1) TILE(format, name, 1, 2, 2) TILE(format, name, 1, 2, 3) TILE(format, name, 1, 2, 4)
#if REGISTERS == 16
#define TILES(format, name)                                                                                            \
    TILES_OF_PAIRS(format, name)                                                                                       \
    TILES_OF_ROWS(format, name, 1) TILES_OF_ROWS(format, name, 2) TILES_OF_ROWS(format, name, 3)                       \
    TILE(format, name, 4, 1, 1) TILE(format, name, 4, 1, 2) TILE(format, name, 4, 1, 3)
#define TABLE_OF_TILES(name)                                                                                           \
    {PAIR_OF_TILES(name), ROW_OF_TILES(name, 1), ROW_OF_TILES(name, 2), ROW_OF_TILES(name, 3),                         \
     {tile_##name##_4x1x1, tile_##name##_4x1x2, tile_##name##_4x1x3, NULL}}
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
static tile_function *const tiles[3][TILE_ROWS_OF_3 + 1][PACKED_PANEL] = {
    [PACKED_FLOAT32] = TABLE_OF_TILES(f32), [PACKED_BF16] = TABLE_OF_TILES(bf16), [PACKED_INT8] = TABLE_OF_TILES(int8)};
/* clang-format on */

/* One tile. A deep product is summed in parts, each by itself and then added to those before, so that rounding errors do
   not grow with the depth. */
INLINE void run_tile(tile_function *tile, const struct tile *t, enum packed_format format, size_t columns)
{
    if (t->depth <= VEC_PART) {
        tile(t);
        return;
    }
    struct tile part = *t;
    for (size_t k = 0; k < t->depth; k += VEC_PART) {
        part.depth = t->depth - k < VEC_PART ? t->depth - k : VEC_PART;
        part.w = (const char *)t->w + k * columns * packed_weight_bytes(format);
        part.x = t->x + k;
        tile(&part);
        part.from = t->to;
        part.from_stride = t->to_stride;
    }
}

/* ---- panels ---- */

/* n groups of sums, each as wide as a panel, from which the finish function computes states: those of n rows of one
   panel (unit_step 0), or of n panels of one row (row_step 0). The first group belongs to `row` and to the panel of
   `unit`. The sums may be overwritten. */
struct ready {
    size_t n, vectors;
    size_t row, row_step, unit, unit_step;
    float *sums;
};
typedef void finish_function(const struct vec_step *s, const struct ready *ready);

/* A product over panels. With finish, the sums stay in a small buffer, from which finish computes states. Without
   finish, the sums are written to `to` [rows, columns]. from is [rows, from_stride] in the order of columns. */
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

static size_t vectors_of(const struct packed *w, size_t panel)
{
    size_t left = w->vectors - panel * w->panel;
    return left < w->panel ? left : w->panel;
}

static size_t unit_of(const struct packed *w, size_t panel)
{
    return panel * w->panel / w->gates * vf_lanes;
}

/* vectors: those of the panel. */
INLINE struct tile tile_of(const struct product *job, size_t panel, size_t vectors)
{
    size_t column = panel * job->w->panel * vf_lanes;
    return (struct tile){.w = packed_at(job->w, column * packed_depth(job->w)),
                         .scales = job->w->scales + column,
                         .depth = job->w->depth,
                         .panel = packed_depth(job->w) * vectors * vf_lanes,
                         .x = job->x,
                         .x_stride = job->x_stride,
                         .from = job->from + column,
                         .from_stride = job->from_stride,
                         .to = job->to + column,
                         .to_stride = packed_columns(job->w)};
}

/* All rows times one panel, in tiles of nearly equal numbers of rows. */
static void run_panel(const struct product *job, size_t panel)
{
    _Alignas(64) float sums[TILE_ROWS * PACKED_PANEL * vf_lanes];
    size_t vectors = vectors_of(job->w, panel), most = vectors > 3 ? TILE_ROWS : TILE_ROWS_OF_3;
    size_t count = (job->rows + most - 1) / most;
    struct tile t = tile_of(job, panel, vectors);
    struct ready ready = {.vectors = vectors, .row_step = 1, .unit = unit_of(job->w, panel), .sums = sums};
    if (job->finish) {
        t.to = sums;
        t.to_stride = vectors * vf_lanes;
    }
    for (size_t i = 0; i < count; i++) {
        size_t rows = job->rows / count + (i < job->rows % count);
        run_tile(tiles[job->w->format][rows][vectors - 1], &t, job->w->format, vectors * vf_lanes);
        if (job->finish) {
            ready.n = rows;
            job->finish(job->step, &ready);
        } else {
            t.to += rows * t.to_stride;
        }
        ready.row += rows;
        t.x += rows * t.x_stride;
        t.from += rows * t.from_stride;
    }
}

/* A single row times some panels of equal width. The panels are finished together: alone, each would wait for its own
   chain of functions. Panels that fit into the L1 cache are multiplied in pairs, because the sums of one panel are too
   few to hide the latency of FMA. Larger panels wait for memory anyway, so they are multiplied one by one. The same
   holds for the smaller formats if a vector has 16 lanes. */
static void run_row(const struct product *job, size_t panel, size_t n)
{
    enum { NEAR_BYTES = 16384 };
    _Alignas(64) float sums[TILE_ROWS * PACKED_PANEL * vf_lanes];
    size_t vectors = vectors_of(job->w, panel), width = vectors * vf_lanes;
    bool small = job->w->depth * width * packed_weight_bytes(job->w->format) <= NEAR_BYTES;
    size_t step = small || (REGISTERS == 16 && job->w->format != PACKED_FLOAT32) ? 2 : 1;
    for (size_t i = 0, panels; i < n; i += panels) {
        panels = n - i < step ? n - i : step;
        size_t at = job->span.reverse ? n - i - panels : i;
        struct tile t = tile_of(job, panel + at, vectors);
        if (job->finish)
            t.to = sums + at * width;
        run_tile(tiles[job->w->format][panels == 2 ? 0 : 1][vectors - 1], &t, job->w->format, width);
    }
    if (job->finish)
        job->finish(job->step, &(struct ready){.n = n,
                                               .vectors = vectors,
                                               .unit = unit_of(job->w, panel),
                                               .unit_step = unit_of(job->w, 1),
                                               .sums = sums});
}

static void run_panels(const struct product *job)
{
    size_t count = job->span.end - job->span.first, full = job->w->vectors / job->w->panel;
    for (size_t i = 0, n; i < count; i += n) {
        size_t panel = job->span.reverse ? job->span.end - 1 - i : job->span.first + i;
        n = 1;
        if (job->rows > 1) {
            run_panel(job, panel);
            continue;
        }
        if (panel < full) {
            size_t left =
                job->span.reverse ? panel + 1 - job->span.first : (full < job->span.end ? full : job->span.end) - panel;
            n = left < TILE_ROWS ? left : TILE_ROWS;
        }
        run_row(job, job->span.reverse ? panel + 1 - n : panel, n);
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
    return common ? sigmoid_of_step(x) : activate_any(s->recurrent_activation, x);
}

INLINE vf candidate(const struct vec_step *s, bool common, vf x)
{
    return common ? hyperbolic_tangent(x) : activate_any(s->activation, x);
}

/* Each of these functions exists twice: with sigmoid and tanh inlined, and for any activations. */
#define FINISH(name)                                                                                                   \
    static void name##_common(const struct vec_step *s, const struct ready *ready)                                     \
    {                                                                                                                  \
        name(s, ready, true);                                                                                          \
    }                                                                                                                  \
    static void name##_any(const struct vec_step *s, const struct ready *ready)                                        \
    {                                                                                                                  \
        name(s, ready, false);                                                                                         \
    }

/* The position of the i-th state, or of its pre-activations of the kernel (of three gates). */
INLINE size_t state_at(const struct vec_step *s, const struct ready *ready, size_t i)
{
    return (ready->row + i * ready->row_step) * s->stride + ready->unit + i * ready->unit_step;
}

INLINE float *gru_z_at(const struct vec_step *s, const struct ready *ready, size_t i)
{
    return s->z + (ready->row + i * ready->row_step) * s->z_stride + 3 * (ready->unit + i * ready->unit_step);
}

/* Two passes, so that no vector waits for another vector's chain from gates to c to h. */
INLINE void lstm(const struct vec_step *s, const struct ready *ready, bool common)
{
    float *sums = ready->sums;
    for (size_t i = 0; i < ready->n; i++, sums += 4 * vf_lanes) {
        float *c = s->c + state_at(s, ready, i);
        vf in = gate(s, common, vf_load(sums)), forget = gate(s, common, vf_load(sums + vf_lanes));
        vf g = candidate(s, common, vf_load(sums + 2 * vf_lanes));
        vf_store(sums + 3 * vf_lanes, gate(s, common, vf_load(sums + 3 * vf_lanes)));
        vf_store(c, vf_fma(forget, vf_load(c), vf_mul(in, g)));
    }
    sums = ready->sums;
    for (size_t i = 0; i < ready->n; i++, sums += 4 * vf_lanes) {
        size_t at = state_at(s, ready, i);
        vf_store(s->h + at, vf_mul(vf_load(sums + 3 * vf_lanes), candidate(s, common, vf_load(s->c + at))));
    }
}
FINISH(lstm)

/* h' = z h + (1 - z) n */
INLINE void gru_state(const struct vec_step *s, size_t at, vf z, vf n)
{
    vf_store(s->h + at, vf_fma(z, vf_load(s->h_prev + at), vf_mul(vf_sub(vf_set1(1.0f), z), n)));
}

/* The sums are only h U + b1: the candidate's sum is multiplied by r before x K + b0 is added. */
INLINE void gru_after(const struct vec_step *s, const struct ready *ready, bool common)
{
    float *sums = ready->sums;
    for (size_t i = 0; i < ready->n; i++, sums += 3 * vf_lanes) {
        const float *z = gru_z_at(s, ready, i);
        vf reset = gate(s, common, vf_add(vf_load(sums + vf_lanes), vf_load(z + vf_lanes)));
        vf_store(sums, gate(s, common, vf_add(vf_load(sums), vf_load(z))));
        vf_store(sums + vf_lanes, vf_fma(reset, vf_load(sums + 2 * vf_lanes), vf_load(z + 2 * vf_lanes)));
    }
    sums = ready->sums;
    for (size_t i = 0; i < ready->n; i++, sums += 3 * vf_lanes)
        gru_state(s, state_at(s, ready, i), vf_load(sums), candidate(s, common, vf_load(sums + vf_lanes)));
}
FINISH(gru_after)

/* z overwrites its pre-activation, r h goes to reset_h. */
INLINE void gru_gates(const struct vec_step *s, const struct ready *ready, bool common)
{
    const float *sums = ready->sums;
    for (size_t i = 0; i < ready->n; i++, sums += 2 * vf_lanes) {
        float *z = gru_z_at(s, ready, i);
        size_t at = state_at(s, ready, i);
        vf reset = gate(s, common, vf_add(vf_load(sums + vf_lanes), vf_load(z + vf_lanes)));
        vf_store(z, gate(s, common, vf_add(vf_load(sums), vf_load(z))));
        vf_store(s->reset_h + at, vf_mul(reset, vf_load(s->h_prev + at)));
    }
}
FINISH(gru_gates)

INLINE void gru_candidate(const struct vec_step *s, const struct ready *ready, bool common)
{
    const float *sums = ready->sums;
    for (size_t i = 0; i < ready->n; i++) {
        const float *z = gru_z_at(s, ready, i);
        size_t at = state_at(s, ready, i);
        for (size_t v = 0; v < ready->vectors; v++, z += 3 * vf_lanes, at += vf_lanes, sums += vf_lanes)
            gru_state(s, at, vf_load(z), candidate(s, common, vf_add(vf_load(sums), vf_load(z + 2 * vf_lanes))));
    }
}
FINISH(gru_candidate)

INLINE void simple_rnn(const struct vec_step *s, const struct ready *ready, bool common)
{
    const float *sums = ready->sums;
    for (size_t i = 0; i < ready->n; i++) {
        float *h = s->h + state_at(s, ready, i);
        for (size_t v = 0; v < ready->vectors; v++, h += vf_lanes, sums += vf_lanes)
            vf_store(h, candidate(s, common, vf_load(sums)));
    }
}
FINISH(simple_rnn)

static bool is_common(const struct vec_step *s)
{
    return s->activation->kind == ACT_TANH && s->recurrent_activation->kind == ACT_SIGMOID;
}

/* The pre-activations of the kernel are added to the sums of a step, or (with start) one row for all rows. */
static void run_step(const struct vec_step *s, struct vec_span span, const float *x, bool start,
                     finish_function *finish)
{
    run_panels(&(struct product){.w = s->u,
                                 .span = span,
                                 .rows = s->rows,
                                 .x = x,
                                 .x_stride = s->stride,
                                 .from = start ? s->start : s->z,
                                 .from_stride = start ? 0 : s->z_stride,
                                 .finish = finish,
                                 .step = s});
}

static void simd_lstm(const struct vec_step *s, struct vec_span span)
{
    run_step(s, span, s->h_prev, false, is_common(s) ? lstm_common : lstm_any);
}

static void simd_gru_after(const struct vec_step *s, struct vec_span span)
{
    run_step(s, span, s->h_prev, true, is_common(s) ? gru_after_common : gru_after_any);
}

static void simd_gru_gates(const struct vec_step *s, struct vec_span span)
{
    run_step(s, span, s->h_prev, true, is_common(s) ? gru_gates_common : gru_gates_any);
}

static void simd_gru_candidate(const struct vec_step *s, struct vec_span span)
{
    run_step(s, span, s->reset_h, true, is_common(s) ? gru_candidate_common : gru_candidate_any);
}

static void simd_simple_rnn(const struct vec_step *s, struct vec_span span)
{
    run_step(s, span, s->h_prev, false, s->activation->kind == ACT_TANH ? simple_rnn_common : simple_rnn_any);
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

static float simd_sum(size_t n, const float *x)
{
    vf sums[8] = {vf_set1(0.0f), vf_set1(0.0f), vf_set1(0.0f), vf_set1(0.0f),
                  vf_set1(0.0f), vf_set1(0.0f), vf_set1(0.0f), vf_set1(0.0f)};
    float partial[vf_lanes], sum = 0;
    for (size_t i = 0; i < n; i += 8 * vf_lanes) {
        UNROLL
        for (size_t k = 0; k < 8; k++)
            sums[k] = vf_add(sums[k], vf_load(x + i + k * vf_lanes));
    }
    for (size_t k = 1; k < 8; k++)
        sums[0] = vf_add(sums[0], sums[k]);
    vf_store(partial, sums[0]);
    for (size_t i = 0; i < vf_lanes; i++)
        sum += partial[i];
    return sum;
}

#define VEC_SIMD_TABLE(isa)                                                                                            \
    {                                                                                                                  \
        .name = isa, .lanes = vf_lanes, .product = simd_product, .lstm = simd_lstm, .gru_after = simd_gru_after,       \
        .gru_gates = simd_gru_gates, .gru_candidate = simd_gru_candidate, .simple_rnn = simd_simple_rnn,               \
        .activate = simd_activate, .sum = simd_sum                                                                     \
    }

#endif
