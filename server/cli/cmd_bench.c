/* bench: measures the time of a model, and compares it with the limits of this machine. */
#include "cli.h"
#include "limits.h"
#include "server/base/clock.h"
#include "server/base/cpus.h"
#include "server/run/pool.h"
#include "server/run/trial.h"
#include "terminal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MAX_SAMPLES = 100000, MAX_THREADS = 256 };

/* A client that runs one request after the other, with a team of `threads` threads: workers of the pool, and its own
   thread. */
struct runner {
    const struct model *model;
    struct pool *pool;
    size_t batch, timesteps, threads, seconds, samples; /* timesteps: the number asked for, then the number that ran */
    double *microseconds;
    int64_t cpu_ns; /* of all threads of this process, in all runs */
};

static int64_t cpu_time_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void run_once(const struct runner *runner, struct trial *trial)
{
    struct team team;
    if (runner->threads > 1)
        team_open(&team, &runner->pool->host, runner->threads);
    trial_run(trial, runner->threads > 1 ? &team : NULL);
    if (runner->threads > 1)
        team_close(&team);
}

static bool time_runs(struct runner *runner)
{
    struct trial trial;
    bool good = trial_open(&trial, &runner->model->graph, runner->batch, runner->timesteps, 0);
    runner->timesteps = trial.timesteps;
    if (good) {
        for (int warm = 0; warm < 3; warm++)
            run_once(runner, &trial);
        int64_t cpu = cpu_time_ns(), begun = clock_ns(), end = begun + (int64_t)runner->seconds * 1000000000,
                told = begun;
        while (runner->samples < MAX_SAMPLES && (runner->samples < 5 || clock_ns() < end)) {
            int64_t start = clock_ns();
            if (start - told > 250000000) {
                terminal_progress("%zu runs, %.0f of %zu s", runner->samples, (double)(start - begun) * 1e-9,
                                  runner->seconds);
                told = start;
            }
            run_once(runner, &trial);
            runner->microseconds[runner->samples++] = (double)(clock_ns() - start) * 1e-3;
        }
        runner->cpu_ns = cpu_time_ns() - cpu;
        terminal_progress_end();
    }
    trial_close(&trial);
    return good;
}

/* How many timesteps reach a part if the model gets the given number: earlier layers may change the number. */
static double part_timesteps(const struct graph *graph, size_t part, size_t timesteps)
{
    struct layer_shape in[GRAPH_MAX_INPUTS] = {{.timesteps = timesteps}};
    graph_node_shapes(graph, graph->parts[part].node, &timesteps, in, NULL, NULL);
    return (double)in[0].timesteps;
}

/* For one row in the recurrent layers: the multiplications in matrix products, and the bytes of weights that are read
   once in each timestep. */
static void count_work(const struct graph *graph, size_t timesteps, double *macs, double *weights)
{
    *macs = *weights = 0;
    for (size_t p = 0; p < graph->n_parts; p++) {
        if (!graph->parts[p].states.recurrence)
            continue;
        const struct rnn_stack *stack = &graph->parts[p].states.recurrence->stack;
        double steps = part_timesteps(graph, p, timesteps);
        for (size_t i = 0; i < stack->n_cells; i++) {
            const struct rnn_cell *cell = &stack->cells[i];
            *macs += steps * (double)(cell->input_size + cell->units) * (double)(cell->gates * cell->units);
            *weights += steps * (double)rnn_cell_bytes(cell);
        }
    }
}

static int ascending(const void *a, const void *b)
{
    const double *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

/* The least time of a batch on this number of threads, in microseconds. Input products run at the rate of
   multiply-adds. Each step takes the longer of two times: that of the recurrent arithmetic, and that of reading the
   recurrent weights from the smallest cache that holds them. Activations of the gates are not counted. */
static double limit_us(const struct graph *graph, double rows, size_t timesteps, double gflops, size_t threads)
{
    double us = 0;
    for (size_t p = 0; p < graph->n_parts; p++) {
        if (!graph->parts[p].states.recurrence)
            continue;
        const struct rnn_stack *stack = &graph->parts[p].states.recurrence->stack;
        double steps = part_timesteps(graph, p, timesteps);
        for (size_t i = 0; i < stack->n_cells; i++) {
            const struct rnn_cell *cell = &stack->cells[i];
            double columns = (double)(cell->gates * cell->units), n = (double)threads;
            size_t bytes = rnn_cell_bytes(cell) - packed_bytes(&cell->kernel);
            double input = 2 * (double)cell->input_size * columns * rows / gflops / n * 1e-3;
            double step = 2 * (double)cell->units * columns * rows / gflops / n * 1e-3;
            double rate = limits_read_gbs(cell->vec, steps == 1 ? graph_bytes(graph) : bytes, threads);
            double read = (double)bytes / rate * 1e-3;
            if (steps == 1)
                input = fmax(input,
                             (double)packed_bytes(&cell->kernel) / limits_read_gbs(cell->vec, bytes, threads) * 1e-3);
            us += steps * (input + fmax(step, read));
        }
    }
    return us;
}

static void print_limits(const struct vec_ops *vec, size_t threads)
{
    static const size_t kib[] = {16, 128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768, 65536, 262144};
    char cpu[128];
    limits_cpu(cpu, sizeof cpu);
    double one = limits_gflops(vec);
    printf("%s, %s kernels\nmultiply-add from the L1 cache: %.1f GFLOP/s a thread\nreads, GB/s:", cpu, vec->name, one);
    for (size_t i = 0; i < sizeof kib / sizeof *kib; i++) {
        printf("%s%zu KiB a thread: %.0f", i ? ", " : " ", kib[i], limits_read_gbs(vec, kib[i] << 10, 1));
        if (threads > 1)
            printf(" (%zu threads %.0f)", threads, limits_read_gbs(vec, threads * (kib[i] << 10), threads));
        fflush(stdout);
    }
    printf("\n");
}

static bool measure(const struct model *model, size_t batch, size_t timesteps, size_t threads, size_t seconds)
{
    const struct vec_ops *vec = model->graph.layers[0].vec;
    char cpu[128];
    struct pool pool;
    struct runner runner = {.model = model,
                            .pool = &pool,
                            .batch = batch,
                            .timesteps = timesteps,
                            .threads = threads,
                            .seconds = seconds,
                            .microseconds = malloc(MAX_SAMPLES * sizeof(double))};
    size_t fits = trial_timesteps(&model->graph, timesteps, NULL);
    if (fits != timesteps) {
        fprintf(stderr, "cellserve bench: the model does not take %zu timesteps", timesteps);
        if (fits)
            fprintf(stderr, ", but takes %zu: set --timesteps %zu", fits, fits);
        fprintf(stderr, "\n");
        free(runner.microseconds);
        return false;
    }
    bool started = pool_start(&pool, threads - 1, false, 1, 0);
    if (!runner.microseconds || !started || !time_runs(&runner)) {
        fprintf(stderr, "cellserve bench: no memory or threads for this batch\n");
        if (started)
            pool_stop(&pool);
        free(runner.microseconds);
        return false;
    }
    pool_stop(&pool);
    double *times = runner.microseconds, peak = limits_gflops(vec) * (double)threads, macs, weights;
    qsort(times, runner.samples, sizeof *times, ascending);
    timesteps = runner.timesteps;
    count_work(&model->graph, timesteps, &macs, &weights);
    double median = times[runner.samples / 2], row_steps = (double)batch * (double)timesteps;
    double gflops = 2 * macs * (double)batch / median * 1e-3;
    limits_cpu(cpu, sizeof cpu);
    printf("%s, %s kernels, %s weights, %zu thread%s, batch %zu, %zu timesteps, %zu features\n", cpu, vec->name,
           packed_format_name(model->graph.layers[0].format), threads, threads == 1 ? "" : "s", batch, timesteps,
           model->graph.inputs[0].shape.width);
    printf("latency    median %.1f us, least %.1f us, 90%% %.1f us, 99%% %.1f us (%zu runs)\n", median, times[0],
           times[runner.samples * 9 / 10], times[runner.samples * 99 / 100], runner.samples);
    printf("CPU time   %.1f us a run, of all threads\n", (double)runner.cpu_ns * 1e-3 / (double)runner.samples);
    printf("throughput %.0f batches/s, %.0f timesteps/s of a sequence\n", 1e6 / median, row_steps * 1e6 / median);
    printf("arithmetic %.1f GFLOP/s, %.0f %% of this machine's %.1f (its own product from the L1 cache%s)\n", gflops,
           100 * gflops / peak, peak, threads > 1 ? ", times the threads" : "");
    printf("weights    %.1f GB/s if read once a timestep\n", weights / median * 1e-3);
    double limit = limit_us(&model->graph, (double)batch, timesteps, peak / (double)threads, threads);
    printf("limit      %.1f us for the recurrent layers, without the functions of the gates: median / limit %.2f\n",
           limit, median / limit);
    free(times);
    return true;
}

int command_bench(const struct command *command, int argc, char **argv)
{
    struct cli cli;
    struct model model = {.name = NULL};
    const char *batch = "1", *timesteps = "100", *threads = "1", *seconds = "2";
    bool limits = cli_take_switch(&argc, argv, "--limits");
    const struct cli_flag flags[] = {{"--batch", &batch},
                                     {"--timesteps", &timesteps},
                                     {"--threads", &threads},
                                     {"--seconds", &seconds},
                                     {NULL, NULL}};
    int code = cli_read(&cli, command, flags, argc, argv);
    if (code < 0) {
        size_t b = cli_count("--batch", batch, 65536), t = b ? cli_count("--timesteps", timesteps, 1 << 24) : 0;
        size_t n = t ? cli_count("--threads", threads, MAX_THREADS) : 0,
               s = n ? cli_count("--seconds", seconds, 3600) : 0;
        const struct vec_ops *kernels = limits ? cli_kernels(&cli.problems) : NULL;
        code = s && (cli.positional || limits) ? EXIT_BAD_INPUT : EXIT_BAD_USAGE;
        if (s && limits) {
            if (kernels)
                print_limits(kernels, n);
            code = cli_problems(&cli.problems);
        } else if (s && cli_load_model(&cli, command, &model) && measure(&model, b, t, n, s))
            code = EXIT_GOOD;
        model_close(&model);
    }
    cli_close(&cli);
    return code;
}
