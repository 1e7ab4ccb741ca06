/* keras.layers.RNN: gathers timesteps of sequences for the stack, and scatters the outputs of the stack. */
#include "recurrence.h"

#include <stdlib.h>
#include <string.h>

/* The timestep of the request that is step s in the order of processing. */
static size_t timestep_of_step(const struct rnn_recurrence *recurrence, const struct rnn_row *row, size_t s)
{
    return recurrence->go_backwards ? row->timesteps - 1 - s : s;
}

static bool counts_timestep(const struct rnn_recurrence *recurrence, const struct rnn_row *row, size_t s)
{
    return !row->mask || row->mask[timestep_of_step(recurrence, row, s) * row->mask_stride];
}

/* Write the outputs of masked steps, up to step end of the row. */
static void write_masked(const struct rnn_recurrence *recurrence, struct rnn_row *row, size_t end)
{
    size_t bytes = recurrence->stack.output_size * sizeof(float);
    for (; row->sequences && row->written < end; row->written++) {
        float *out = row->outputs + (ptrdiff_t)row->written * row->output_stride;
        if (row->last_output && !recurrence->zero_output_for_mask)
            memcpy(out, row->last_output, bytes);
        else
            memset(out, 0, bytes);
    }
}

static void write_output(const struct rnn_recurrence *recurrence, struct rnn_row *row, size_t s, const float *output)
{
    write_masked(recurrence, row, s);
    float *out = row->sequences ? row->outputs + (ptrdiff_t)s * row->output_stride : row->outputs;
    memcpy(out, output, recurrence->stack.output_size * sizeof *out);
    row->last_output = out;
    row->written = s + 1;
}

/* With zero_output_for_mask, Keras also sets the last output to zero if the last processed step is masked. */
static void finish_row(const struct rnn_recurrence *recurrence, struct rnn_row *row)
{
    write_masked(recurrence, row, row->timesteps);
    if (!row->sequences && recurrence->zero_output_for_mask && row->timesteps &&
        !counts_timestep(recurrence, row, row->timesteps - 1))
        memset(row->outputs, 0, recurrence->stack.output_size * sizeof(float));
}

static int longest_first(const void *a, const void *b)
{
    const struct rnn_row *x = *(struct rnn_row *const *)a, *y = *(struct rnn_row *const *)b;
    if (x->left != y->left)
        return x->left < y->left ? 1 : -1;
    return x < y ? -1 : 1; /* the rows are in one array: compare addresses, to keep the order of the request and make
                              runs repeatable */
}

/* Write the outputs of the masked steps before the first step that counts. */
static void write_beginning(const struct rnn_recurrence *recurrence, struct rnn_row *row)
{
    const struct rnn_stack *stack = &recurrence->stack;
    size_t first = 0;
    row->last_output = row->stepped ? row->states + stack->state_offsets[stack->n_cells - 1] : NULL;
    while (first < row->timesteps && !counts_timestep(recurrence, row, first))
        first++;
    write_masked(recurrence, row, first);
    if (!row->sequences && row->stepped)
        memcpy(row->outputs, row->last_output, stack->output_size * sizeof(float));
    else if (!row->sequences)
        memset(row->outputs, 0, stack->output_size * sizeof(float));
}

void rnn_recurrence_begin(const struct rnn_recurrence *recurrence, struct rnn_row *rows, size_t n,
                          struct rnn_row **order)
{
    for (size_t i = 0; i < n; i++) {
        struct rnn_row *row = &rows[i];
        row->done = row->written = row->left = 0;
        for (size_t s = 0; s < row->timesteps; s++)
            row->left += counts_timestep(recurrence, row, s);
        row->taken = row->left;
        write_beginning(recurrence, row);
        order[i] = row;
    }
    qsort(order, n, sizeof *order, longest_first);
}

/* Bytes for rows that run up to row_steps / rows steps at a time. */
static bool scratch_of(const struct rnn_recurrence *recurrence, size_t rows, size_t row_steps, size_t *bytes)
{
    size_t stack, inputs;
    *bytes = (CHUNK_ROW_STEPS + row_steps) * sizeof(size_t) + rows * (sizeof(float *) + sizeof(struct rnn_row *)) +
             5 * RNN_ALIGNMENT;
    return rnn_size_mul(row_steps, recurrence->stack.input_size * sizeof(float), &inputs) &&
           rnn_size_add(*bytes, inputs, bytes) && rnn_stack_scratch(&recurrence->stack, rows, row_steps, &stack) &&
           rnn_size_add(*bytes, rnn_round_up(stack, RNN_ALIGNMENT), bytes);
}

/* Memory that does not depend on the number of rows is needed once for each member of a team. */
bool rnn_recurrence_scratch(const struct rnn_recurrence *recurrence, size_t rows, size_t *bytes)
{
    size_t fixed;
    return scratch_of(recurrence, 0, 0, &fixed) && rnn_size_mul(fixed, TEAM_MAX_SEATS, &fixed) &&
           scratch_of(recurrence, rows, rows > CHUNK_ROW_STEPS ? rows : CHUNK_ROW_STEPS, bytes) &&
           rnn_size_add(*bytes, fixed, bytes);
}

/* Copy the inputs of up to `steps` timesteps that count, step by step, and within a step row by row. positions
   [row-steps] stores the step of the row for each. Returns the number of steps. */
static size_t gather_inputs(const struct rnn_recurrence *recurrence, struct rnn_row **order, size_t n, size_t steps,
                            size_t *active, float *x, size_t *positions)
{
    size_t features = recurrence->stack.input_size, taken = 0, t = 0;
    for (; t < steps && n && order[0]->left; t++) {
        while (n && !order[n - 1]->left)
            n--;
        active[t] = n;
        for (size_t r = 0; r < n; r++, taken++) {
            struct rnn_row *row = order[r];
            while (!counts_timestep(recurrence, row, row->done))
                row->done++;
            positions[taken] = row->done;
            memcpy(x + taken * features, row->inputs + timestep_of_step(recurrence, row, row->done) * row->input_stride,
                   features * sizeof *x);
            row->done++;
            row->left--;
        }
    }
    return t;
}

static size_t advance_chunk(const struct rnn_recurrence *recurrence, struct rnn_row **order, size_t n, size_t max_steps,
                            struct arena *arena, struct team *team)
{
    size_t row_steps = max_steps * n, stride = 0;
    arena_reset(arena);
    size_t *active = arena_alloc(arena, max_steps, sizeof *active);
    size_t *positions = arena_alloc(arena, row_steps, sizeof *positions);
    float **states = arena_alloc(arena, n, sizeof *states);
    float *x = arena_alloc(arena, row_steps * recurrence->stack.input_size, sizeof *x);
    size_t steps = gather_inputs(recurrence, order, n, max_steps, active, x, positions);
    if (steps) {
        for (size_t r = 0; r < active[0]; r++)
            states[r] = order[r]->states;
        const float *out = rnn_stack_run(&recurrence->stack, steps, active, x, states, arena, team, &stride);
        for (size_t t = 0; t < steps; t++)
            for (size_t r = 0; r < active[t]; r++, positions++, out += stride)
                write_output(recurrence, order[r], *positions, out);
    }
    while (n && !order[n - 1]->left) {
        finish_row(recurrence, order[n - 1]);
        n--;
    }
    return n;
}

size_t rnn_recurrence_advance(const struct rnn_recurrence *recurrence, struct rnn_row **order, size_t n,
                              struct arena *arena, struct team *team)
{
    return advance_chunk(recurrence, order, n, rnn_stack_chunk(n ? n : 1), arena, team);
}

/* ---- whole runs ---- */

/* A run by a team in which each member runs some of the rows to their end. */
struct rows_job {
    const struct rnn_recurrence *recurrence;
    struct rnn_row **order;
    size_t n, max_steps;
    struct arena *arena;
    bool (*stop)(void *context);
    void *stop_context;
    atomic_bool stopped;
};

static bool job_stops(struct rows_job *job, size_t member)
{
    if (member == 0 && job->stop && job->stop(job->stop_context))
        atomic_store(&job->stopped, true);
    return atomic_load_explicit(&job->stopped, memory_order_relaxed);
}

/* Member i runs every members-th row of the order, so that each member gets long and short rows. It uses its part of
   the arena. */
static void run_rows(void *argument, struct team_member *me)
{
    struct rows_job *job = argument;
    struct arena arena = {.base = job->arena->base};
    size_t mine = 0;
    for (size_t member = 0; member <= me->index; member++) {
        mine = (job->n - member + me->members - 1) / me->members;
        arena.base += arena.size;
        scratch_of(job->recurrence, mine, mine * job->max_steps, &arena.size);
        arena.size = rnn_round_up(arena.size, RNN_ALIGNMENT);
    }
    arena_reset(&arena);
    struct rnn_row **order = arena_alloc(&arena, mine, sizeof *order);
    for (size_t i = 0; i < mine; i++)
        order[i] = job->order[me->index + i * me->members];
    struct arena rest = {.base = arena.base + arena.used, .size = arena.size - arena.used};
    for (size_t left = mine; left && !job_stops(job, me->index);)
        left = advance_chunk(job->recurrence, order, left, job->max_steps, &rest, NULL);
}

bool rnn_recurrence_run(const struct rnn_recurrence *recurrence, struct rnn_row *rows, size_t n,
                        const struct rnn_recurrence_means *means)
{
    struct rows_job job = {.recurrence = recurrence,
                           .order = means->order,
                           .n = n,
                           .max_steps = rnn_stack_chunk(n),
                           .arena = means->arena,
                           .stop = means->stop,
                           .stop_context = means->stop_context};
    rnn_recurrence_begin(recurrence, rows, n, means->order);
    if (means->team && rnn_stack_divides_by_rows(&recurrence->stack, n, means->team->seats)) {
        size_t row_steps = 0;
        for (size_t r = 0; r < n; r++)
            row_steps += rows[r].left;
        double work = (double)row_steps / (double)n * rnn_stack_step_ns(&recurrence->stack, n);
        unsigned long long saved = vec_denormals_off();
        team_run(means->team, work, run_rows, &job);
        vec_denormals_restore(saved);
    } else {
        for (size_t left = n; left && !job_stops(&job, 0);)
            left = rnn_recurrence_advance(recurrence, means->order, left, means->arena, means->team);
    }
    return !job.stopped;
}
