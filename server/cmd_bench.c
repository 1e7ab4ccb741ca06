/* bench: how long a model takes, and how near that is to what this machine can do. */
#include "cli.h"
#include "clock.h"
#include "cpus.h"
#include "pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SECONDS = 2, MAX_SAMPLES = 100000, MAX_THREADS = 256 };

/* One request after the other: its own rows, its own times; a team of `threads` of the pool's workers and itself. */
struct runner {
    const struct model *model;
    struct pool *pool;
    size_t batch, timesteps, threads, samples;
    double *microseconds;
};

/* The memory of one runner's batch. */
struct bench_batch {
    float *inputs, *states, *outputs, *floats;
    unsigned char *masks;
    struct rnn_row *fresh, *rows; /* rows are used up by a run */
    struct arena arena;
    struct model_run run;
};

static bool batch_open(struct bench_batch *b, const struct rnn_model *chain, size_t batch, size_t timesteps)
{
    size_t scratch, floats, width = chain->input.width;
    struct layer_shape out;
    *b = (struct bench_batch){.inputs = NULL};
    if (rnn_model_output(chain, timesteps, chain->return_sequences, &out, NULL) ||
        !rnn_size_mul(batch, timesteps, &floats) || !rnn_size_mul(floats, width, &floats))
        return false;
    b->inputs = rnn_alloc(floats, sizeof(float));
    b->states = rnn_alloc(batch * chain->state_elems, sizeof(float));
    b->outputs = rnn_alloc(batch * out.timesteps, out.width * sizeof(float));
    b->fresh = calloc(batch, sizeof *b->fresh);
    b->rows = calloc(batch, sizeof *b->rows);
    b->run.order = calloc(batch, sizeof(struct rnn_row *));
    if (!b->inputs || !b->states || !b->outputs || !b->fresh || !b->rows || !b->run.order ||
        !rnn_model_scratch(chain, batch, &scratch) || !arena_reserve(&b->arena, scratch))
        return false;
    unsigned state = 1;
    for (size_t i = 0; i < floats; i++) {
        float value = (float)((state = state * 1664525u + 1013904223u) >> 8) * 0x1p-23f - 1.0f;
        b->inputs[i] = chain->input.ids ? (float)(size_t)((value + 1) / 2 * (float)rnn_model_vocabulary(chain)) : value;
        if (chain->input.ids && b->inputs[i] >= (float)rnn_model_vocabulary(chain))
            b->inputs[i] = 0;
    }
    for (size_t r = 0; r < batch; r++)
        b->fresh[r] = (struct rnn_row){.inputs = b->inputs + r * timesteps * width,
                                       .timesteps = timesteps,
                                       .input_stride = width,
                                       .states = b->states + r * chain->state_elems,
                                       .outputs = b->outputs + r * out.timesteps * out.width,
                                       .output_stride = (ptrdiff_t)out.width};
    b->run.sequences = chain->return_sequences;
    b->run.arena = &b->arena;
    if (!rnn_model_work(chain, b->fresh, batch, b->run.sequences, &b->run.work))
        return false;
    b->run.floats = b->floats = rnn_alloc(2 * b->run.work.floats + b->run.work.aux, sizeof(float));
    b->run.masks = b->masks = rnn_alloc(b->run.work.masks, 1);
    return b->floats && b->masks;
}

static void batch_close_all(struct bench_batch *b)
{
    free(b->inputs);
    free(b->states);
    free(b->outputs);
    free(b->fresh);
    free(b->rows);
    free(b->run.order);
    free(b->floats);
    free(b->masks);
    arena_close(&b->arena);
}

static void run_once(const struct runner *runner, struct bench_batch *b)
{
    const struct rnn_model *chain = &runner->model->chain;
    struct team team;
    memset(b->states, 0, runner->batch * chain->state_elems * sizeof *b->states);
    memcpy(b->rows, b->fresh, runner->batch * sizeof *b->rows);
    b->run.team = runner->threads > 1 ? &team : NULL;
    if (b->run.team)
        team_open(&team, &runner->pool->host, runner->threads);
    rnn_model_run(chain, &b->run, b->rows, runner->batch);
    if (b->run.team)
        team_close(&team);
}

static bool run(struct runner *runner)
{
    struct bench_batch b;
    bool good = batch_open(&b, &runner->model->chain, runner->batch, runner->timesteps);
    if (good) {
        for (int warm = 0; warm < 3; warm++)
            run_once(runner, &b);
        int64_t end = clock_ns() + SECONDS * (int64_t)1000000000;
        while (runner->samples < MAX_SAMPLES && (runner->samples < 5 || clock_ns() < end)) {
            int64_t start = clock_ns();
            run_once(runner, &b);
            runner->microseconds[runner->samples++] = (double)(clock_ns() - start) * 1e-3;
        }
    }
    batch_close_all(&b);
    return good;
}

/* Multiplications of one timestep in matrix products, and bytes of weights that it reads. */
static void count_work(const struct rnn_model *chain, double *macs, double *weights)
{
    *macs = *weights = 0;
    for (size_t p = 0; p < chain->n_parts; p++) {
        const struct rnn_stack *stack = &chain->parts[p].layer->stack;
        for (size_t i = 0; i < stack->n_cells; i++) {
            const struct rnn_cell *cell = &stack->cells[i];
            *macs += (double)(cell->input_size + cell->units) * (double)(cell->gates * cell->units);
            *weights += (double)rnn_cell_bytes(cell);
        }
    }
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The machine's own peak for these kernels: a product whose operands stay in the L1 cache. GFLOP/s. */
static double peak_gflops(const struct vec_ops *vec)
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

static void cpu_name(char *out, size_t size)
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

static bool measure(const struct model *model, size_t batch, size_t timesteps, size_t threads)
{
    const struct vec_ops *vec = model->chain.layers[0].vec;
    char cpu[128];
    struct pool pool;
    struct runner runner = {.model = model,
                            .pool = &pool,
                            .batch = batch,
                            .timesteps = timesteps,
                            .threads = threads,
                            .microseconds = malloc(MAX_SAMPLES * sizeof(double))};
    bool started = pool_start(&pool, threads - 1, false, 1, 0);
    if (!runner.microseconds || !started || !run(&runner)) {
        fprintf(stderr, "cellserve bench: no memory or threads for this batch\n");
        if (started)
            pool_stop(&pool);
        free(runner.microseconds);
        return false;
    }
    pool_stop(&pool);
    double *times = runner.microseconds, peak = peak_gflops(vec) * (double)threads, macs, weights;
    qsort(times, runner.samples, sizeof *times, ascending);
    count_work(&model->chain, &macs, &weights);
    double median = times[runner.samples / 2], row_steps = (double)batch * (double)timesteps;
    double gflops = 2 * macs * row_steps / median * 1e-3;
    cpu_name(cpu, sizeof cpu);
    printf("%s, %s kernels, %s weights, %zu thread%s, batch %zu, %zu timesteps, %zu features\n", cpu, vec->name,
           packed_format_name(model->chain.layers[0].format), threads, threads == 1 ? "" : "s", batch, timesteps,
           model->chain.input.width);
    printf("latency    median %.1f us, least %.1f us, 90%% %.1f us, 99%% %.1f us (%zu runs)\n", median, times[0],
           times[runner.samples * 9 / 10], times[runner.samples * 99 / 100], runner.samples);
    printf("throughput %.0f batches/s, %.0f timesteps/s of a sequence\n", 1e6 / median, row_steps * 1e6 / median);
    printf("arithmetic %.1f GFLOP/s, %.0f %% of this machine's %.1f (its own product from the L1 cache%s)\n", gflops,
           100 * gflops / peak, peak, threads > 1 ? ", times the threads" : "");
    printf("weights    %.1f GB/s if read once a timestep\n", weights * (double)timesteps / median * 1e-3);
    free(times);
    return true;
}

int command_bench(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    struct model model = {.name = NULL};
    const char *batch = "1", *timesteps = "100", *threads = "1";
    const struct cli_flag flags[] = {
        {"--batch", &batch}, {"--timesteps", &timesteps}, {"--threads", &threads}, {NULL, NULL}};
    int code = cli_read(&cli, command, flags, argc, argv);
    if (code < 0) {
        size_t b = cli_count("--batch", batch, 65536), t = b ? cli_count("--timesteps", timesteps, 1 << 24) : 0;
        size_t n = t ? cli_count("--threads", threads, MAX_THREADS) : 0;
        code = n && cli.positional ? EXIT_BAD_INPUT : EXIT_BAD_USAGE;
        if (n && cli_load_model(&cli, command, &model) && measure(&model, b, t, n))
            code = EXIT_GOOD;
        model_close(&model);
    }
    cli_close(&cli);
    return code;
}
