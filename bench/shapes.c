/* Measures an LSTM step for every number of units and many numbers of rows. Prints a line of CSV for each: nanoseconds
   per step, and picoseconds per useful operation (two for each of the rows x units x 4 units weights). bench/shapes.py
   draws them. */
#include "core/rnn.h"
#include "server/base/clock.h"
#include "server/cli/limits.h"

#include <stdio.h>
#include <stdlib.h>

static const size_t rows_tried[] = {1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 16, 24, 32, 48, 64};
enum { MAX_ROWS = 64, MAX_UNITS = 1100, REPEATS = 5, BLOCK_NS = 300000 };

static double time_steps(const struct vec_ops *vec, struct vec_step *step)
{
    double best = 1e30;
    float *h[2] = {(float *)step->h_prev, step->h};
    size_t steps = 1;
    for (int i = 0; i < REPEATS; i++) {
        int64_t begin = clock_ns();
        for (size_t t = 0; t < steps; t++) {
            step->h_prev = h[t % 2];
            step->h = h[1 - t % 2];
            vec->lstm(step, (struct vec_span){.end = packed_panels(step->u), .reverse = t % 2});
        }
        double ns = (double)(clock_ns() - begin) / (double)steps;
        best = ns < best ? ns : best;
        if (i == 0)
            steps = ns < BLOCK_NS ? (size_t)(BLOCK_NS / ns) + 1 : 1;
    }
    step->h_prev = h[0];
    step->h = h[1];
    return best;
}

int main(int argc, char **argv)
{
    size_t first = argc > 1 ? strtoul(argv[1], NULL, 10) : 8, stride = argc > 2 ? strtoul(argv[2], NULL, 10) : 1;
    const struct vec_ops *vec = vec_select(getenv("CELLSERVE_ISA"));
    const struct activation tangent = {.kind = ACT_TANH}, logistic = {.kind = ACT_SIGMOID};
    size_t weights = (size_t)MAX_UNITS * MAX_UNITS * 4, cells = (size_t)MAX_ROWS * (MAX_UNITS + 16);
    float *matrix = rnn_alloc(weights, sizeof(float)), *z = rnn_alloc(4 * cells, sizeof(float));
    float *h = rnn_alloc(2 * cells, sizeof(float)), *c = rnn_alloc(cells, sizeof(float));
    char cpu[128];
    if (!vec || !vec->lstm || !matrix || !z || !h || !c || !first || !stride)
        return 1;
    for (size_t i = 0; i < weights; i++)
        matrix[i] = (float)(i % 97) * 1e-4f - 0.005f;
    limits_cpu(cpu, sizeof cpu);
    printf("# %s, %s\nunits,rows,ns,ps_per_flop\n", cpu, vec->name);
    for (size_t units = first; units <= MAX_UNITS; units += stride) {
        struct packed u;
        if (packed_init(&u, matrix, units, 4 * units, 0, 4, units, vec->lanes, PACKED_FLOAT32, NULL))
            return 1;
        for (size_t i = 0; i < sizeof rows_tried / sizeof *rows_tried; i++) {
            struct vec_step step = {.u = &u,
                                    .rows = rows_tried[i],
                                    .h_prev = h,
                                    .h = h + cells,
                                    .c = c,
                                    .z = z,
                                    .z_stride = packed_columns(&u),
                                    .stride = rnn_round_up(units, 16),
                                    .activation = &tangent,
                                    .recurrent_activation = &logistic};
            double ns = time_steps(vec, &step);
            double flops = 8.0 * (double)rows_tried[i] * (double)units * (double)units;
            printf("%zu,%zu,%.1f,%.4f\n", units, rows_tried[i], ns, ns / flops * 1e3);
        }
        packed_close(&u);
    }
    free(matrix);
    free(z);
    free(h);
    free(c);
    return 0;
}
