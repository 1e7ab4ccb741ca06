/* Measures the limits of the machine. */
#include "limits.h"

#include "core/arena.h"
#include "server/base/clock.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

double limits_gflops(const struct vec_ops *vec)
{
    enum { DEPTH = 128, ROWS = 24 };
    size_t units = 2 * (vec->lanes ? vec->lanes : 8);
    struct packed w = {0};
    float *matrix = rnn_alloc(DEPTH * units * 4, sizeof(float)), *x = rnn_alloc(ROWS * DEPTH, sizeof(float));
    float *z = rnn_alloc(ROWS * units * 4 + 64, sizeof(float)), *start = rnn_alloc(units * 4, sizeof(float));
    double best = 0;
    if (matrix && x && z && start &&
        !packed_init(&w, matrix, DEPTH, 4 * units, 0, 4, units, vec->lanes, PACKED_FLOAT32, NULL))
        for (int trial = 0; trial < 200; trial++) {
            int64_t begin = clock_ns();
            for (int i = 0; i < 20; i++)
                vec->product(&w, vec_all(&w), ROWS, x, DEPTH, start, 0, z);
            double flops = 20.0 * 2 * ROWS * DEPTH * (double)packed_columns(&w);
            double rate = flops / (double)(clock_ns() - begin);
            best = rate > best ? rate : best;
        }
    packed_close(&w);
    free(matrix);
    free(x);
    free(z);
    free(start);
    return best;
}

/* ---- reading ---- */

struct reader {
    const struct vec_ops *vec;
    const float *data;
    size_t n, passes;
    pthread_barrier_t *start;
    double seconds;
    float sum; /* so that the compiler keeps the reads */
};

static void *read_all(void *argument)
{
    struct reader *r = argument;
    pthread_barrier_wait(r->start);
    int64_t begin = clock_ns();
    for (size_t pass = 0; pass < r->passes; pass++)
        r->sum += r->vec->sum(r->n, r->data);
    r->seconds = (double)(clock_ns() - begin) * 1e-9;
    return NULL;
}

double limits_read_gbs(const struct vec_ops *vec, size_t bytes, size_t threads)
{
    enum { MAX = 256 };
    struct reader readers[MAX];
    pthread_t ids[MAX];
    pthread_barrier_t start;
    double best = 0;
    size_t share = bytes / sizeof(float) / threads / 128 * 128;
    float *data = rnn_alloc(share * threads, sizeof *data);
    for (int trial = 0; data && threads <= MAX && trial < 5; trial++) {
        size_t started = 0;
        double longest = 0;
        pthread_barrier_init(&start, NULL, (unsigned)threads);
        for (; started < threads; started++) {
            readers[started] = (struct reader){.vec = vec,
                                               .data = data + started * share,
                                               .n = share,
                                               .passes = ((size_t)1 << 28) / (share * 4 + 1) + 2,
                                               .start = &start};
            if (pthread_create(&ids[started], NULL, read_all, &readers[started]))
                abort(); /* the others wait for it */
        }
        for (size_t i = 0; i < started; i++) {
            pthread_join(ids[i], NULL);
            longest = readers[i].seconds > longest ? readers[i].seconds : longest;
        }
        pthread_barrier_destroy(&start);
        double rate = (double)(share * 4 * threads) * (double)readers[0].passes / longest * 1e-9;
        best = rate > best ? rate : best;
    }
    free(data);
    return best;
}

/* ---- names ---- */

void limits_cpu(char *out, size_t size)
{
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(out, size, "unknown CPU");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "model name", 10) && strchr(line, ':')) {
            snprintf(out, size, "%s", strchr(line, ':') + 2);
            out[strcspn(out, "\n")] = 0;
            break;
        }
    if (file)
        fclose(file);
}
