/* Products by OpenBLAS, for CPUs without own kernels. No other file includes cblas.h. */
#include "vec.h"

#include <cblas.h>
#include <sched.h>
#include <stdatomic.h>
#include <string.h>

/* An OpenBLAS that is built without threads has one work buffer for all callers. Tests showed wrong sums when two
   threads call it at the same time. So only one thread at a time may call it. */
static atomic_flag busy = ATOMIC_FLAG_INIT;

static void enter_blas(void)
{
    while (!openblas_get_parallel() && atomic_flag_test_and_set_explicit(&busy, memory_order_acquire))
        sched_yield();
}

static void leave_blas(void)
{
    atomic_flag_clear_explicit(&busy, memory_order_release);
}

/* With its Haswell and Zen kernels, the sum of a row depends on the row's position and on the number of rows in the
   call, except in calls of 8 rows. So every call has 8 rows, and the last one is padded with zeros. Then the sum of a
   row depends only on the row. Slices bound the stack memory, and are the same for every row. */
enum { TILE = 8, SLICE = 512 };

static void multiply(size_t rows, size_t columns, size_t depth, const float *x, size_t x_stride, const float *w,
                     size_t w_stride, float *z, size_t z_stride)
{
    enter_blas();
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)rows, (int)columns, (int)depth, 1.0f, x, (int)x_stride,
                w, (int)w_stride, 1.0f, z, (int)z_stride);
    leave_blas();
}

/* Up to TILE rows, copied and padded: the last ones, or rows that overlap, which BLAS does not take. */
static void multiply_padded(size_t rows, size_t columns, size_t depth, const float *x, size_t x_stride, const float *w,
                            size_t w_stride, float *z, size_t z_stride)
{
    float x_tile[TILE * SLICE] = {0}, z_tile[TILE * SLICE] = {0};
    for (size_t r = 0; r < rows; r++) {
        memcpy(x_tile + r * SLICE, x + r * x_stride, depth * sizeof *x);
        memcpy(z_tile + r * SLICE, z + r * z_stride, columns * sizeof *z);
    }
    multiply(TILE, columns, depth, x_tile, SLICE, w, w_stride, z_tile, SLICE);
    for (size_t r = 0; r < rows; r++)
        memcpy(z + r * z_stride, z_tile + r * SLICE, columns * sizeof *z);
}

static size_t slice(size_t done, size_t all)
{
    return all - done < SLICE ? all - done : SLICE;
}

static void accumulate(const struct packed *w, size_t rows, const float *x, size_t x_stride, float *z)
{
    size_t width = packed_columns(w);
    for (size_t c = 0; c < width; c += SLICE)
        for (size_t k = 0; k < w->depth; k += SLICE) {
            const float *weights = (const float *)w->data + k * width + c;
            size_t columns = slice(c, width), depth = slice(k, w->depth), r = 0;
            for (; r + TILE <= rows && x_stride >= depth; r += TILE)
                multiply(TILE, columns, depth, x + r * x_stride + k, x_stride, weights, width, z + r * width + c,
                         width);
            for (size_t n; r < rows; r += n) {
                n = rows - r < TILE ? rows - r : TILE;
                multiply_padded(n, columns, depth, x + r * x_stride + k, x_stride, weights, width, z + r * width + c,
                                width);
            }
        }
}

/* Row by row, if the self-test shows that tiles of 8 rows differ. */
static void accumulate_rows(const struct packed *w, size_t rows, const float *x, size_t x_stride, float *z)
{
    size_t width = packed_columns(w);
    for (size_t r = 0; r < rows; r++)
        multiply(1, width, w->depth, x + r * x_stride, w->depth, w->data, width, z + r * width, width);
}

static float vec_c_sum(size_t n, const float *x)
{
    return vec_c.sum(n, x);
}

/* All units are one vector here, so a span has all panels or none. Weights of other formats have no BLAS. */
static bool start_sums(const struct packed *w, struct vec_span span, size_t rows, const float *x, size_t x_stride,
                       const float *from, size_t from_stride, float *z)
{
    if (w->format != PACKED_FLOAT32) {
        vec_c.product(w, span, rows, x, x_stride, from, from_stride, z);
        return false;
    }
    for (size_t r = 0; span.first < span.end && from != z && r < rows; r++)
        memcpy(z + r * packed_columns(w), from + r * from_stride, packed_columns(w) * sizeof *z);
    return span.first < span.end;
}

static void product(const struct packed *w, struct vec_span span, size_t rows, const float *x, size_t x_stride,
                    const float *from, size_t from_stride, float *z)
{
    if (start_sums(w, span, rows, x, x_stride, from, from_stride, z))
        accumulate(w, rows, x, x_stride, z);
}

static void product_rows(const struct packed *w, struct vec_span span, size_t rows, const float *x, size_t x_stride,
                         const float *from, size_t from_stride, float *z)
{
    if (start_sums(w, span, rows, x, x_stride, from, from_stride, z))
        accumulate_rows(w, rows, x, x_stride, z);
}

bool vec_openblas_tiles_are_invariant(void)
{
    enum { ROWS = 11, DEPTH = 67, WIDTH = 53 };
    float x[ROWS * DEPTH], weights[DEPTH * WIDTH], alone[WIDTH], z[ROWS * WIDTH] = {0};
    unsigned state = 1;
    openblas_set_num_threads(1); /* the caller has its own threads; a threaded OpenBLAS would start more threads */
    for (size_t i = 0; i < ROWS * DEPTH; i++)
        x[i] = (float)(int)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
    for (size_t i = 0; i < DEPTH * WIDTH; i++)
        weights[i] = (float)(int)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-24f - 0.5f;
    struct packed w = {
        .depth = DEPTH, .units = WIDTH, .gates = 1, .lanes = WIDTH, .vectors = 1, .panel = 1, .data = weights};
    accumulate(&w, ROWS, x, DEPTH, z);
    for (size_t r = 0; r < ROWS; r++) {
        memset(alone, 0, sizeof alone);
        accumulate(&w, 1, x + r * DEPTH, DEPTH, alone);
        if (memcmp(alone, z + r * WIDTH, sizeof alone))
            return false;
    }
    return true;
}

const struct vec_ops vec_openblas = {.name = "openblas", .product = product, .sum = vec_c_sum};
const struct vec_ops vec_openblas_rows = {.name = "openblas", .product = product_rows, .sum = vec_c_sum};
