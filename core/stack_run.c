/* The run of a stack through a chunk of timesteps, cell after cell: by one thread, or by a team: its members share the units
   of every step, or, where cells are too small for that, follow each other through the cells as a wavefront. */
#include "stack.h"

#include <string.h>

/* What arithmetic and memory do in a nanosecond, roughly; to judge what is worth a second thread. */
enum { FLOPS_PER_NS = 100, BYTES_PER_NS = 100 };

/* Where members share the units of a step they meet after each, which takes two hand-overs between caches: 0.1 us, or 0.5
   where the system has put them on caches far apart. Shorter steps (by the rates above, which are low) are not shared. */
enum { MIN_STEP_NS = 2000 };

/* Members that share the rows need not meet, but each reads all weights: good for weights that stay in its cache, and for
   enough rows to fill the register tiles. */
enum { MAX_SHARED_BYTES = 1 << 20, MIN_SHARED_ROWS = 6 };

/* Roughly, how long a step of some rows takes one thread: arithmetic, and reading the weights. */
static double step_ns(const struct rnn_cell *cell, size_t rows)
{
    double weights = (double)cell->units * (double)cell->gates * (double)cell->units;
    return 2 * weights * (double)rows / FLOPS_PER_NS +
           weights * (double)packed_weight_bytes(cell->format) / BYTES_PER_NS;
}

static double product_ns(const struct rnn_cell *cell, size_t row_steps)
{
    return 2 * (double)cell->input_size * (double)cell->gates * (double)cell->units * (double)row_steps / FLOPS_PER_NS;
}

/* Slices of a chunk for each cell of a wavefront: of n the last cell waits for n_cells - 1. */
enum { SLICES_PER_CELL = 8 };

/* Whether the stack's cells may follow each other, and how many of them at a time: those of equal width whose steps are
   too small to be shared, so that rows of the two buffers of outputs keep their places. */
static size_t wave_of(const struct rnn_stack *stack)
{
    for (size_t i = 0; i < stack->n_cells; i++)
        if (stack->cells[i].padded_units != stack->max_units || step_ns(&stack->cells[i], 1) >= MIN_STEP_NS)
            return 1;
    return stack->n_cells < TEAM_MAX_SEATS ? stack->n_cells : TEAM_MAX_SEATS;
}

size_t rnn_stack_chunk(size_t rows)
{
    return rows < CHUNK_ROW_STEPS ? CHUNK_ROW_STEPS / rows : 1;
}

bool rnn_stack_scratch(const struct rnn_stack *stack, size_t rows, size_t row_steps, size_t *bytes)
{
    size_t floats = 0, part, wave = stack->n_cells ? wave_of(stack) : 1;
    const size_t sizes[][2] = {
        {row_steps, stack->max_columns}, /* z */
        {row_steps, stack->max_units},
        {row_steps, stack->max_units}, /* outputs of this cell and of the one below */
        {wave * rows, stack->max_units},
        {wave * rows, stack->max_units},         /* h before the chunk, c */
        {wave * (rows + 2), stack->max_columns}, /* scratch of a step */
    };
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (!rnn_size_mul(sizes[i][0], sizes[i][1], &part) || !rnn_size_add(part, RNN_ALIGNMENT, &part) ||
            !rnn_size_add(floats, part, &floats))
            return false;
    return rnn_size_mul(floats, sizeof(float), bytes);
}

double rnn_stack_step_ns(const struct rnn_stack *stack, size_t rows)
{
    double ns = 0;
    for (size_t i = 0; i < stack->n_cells; i++)
        ns += product_ns(&stack->cells[i], rows) + step_ns(&stack->cells[i], rows);
    return ns;
}

bool rnn_stack_divides_by_rows(const struct rnn_stack *stack, size_t rows, size_t seats)
{
    for (size_t i = 0; i < stack->n_cells; i++)
        if (packed_bytes(&stack->cells[i].recurrent) > MAX_SHARED_BYTES)
            return false;
    return rows >= seats * MIN_SHARED_ROWS;
}

/* A chunk on its way through the stack: what all members of a team know. */
struct run {
    const struct rnn_stack *stack;
    size_t steps, row_steps;
    const size_t *active; /* [steps] rows */
    const float *x;
    float *const *states;
    float *z, *outputs[2], *h, *c, *scratch;
};

/* A member's share of 0..n-1. */
struct range {
    size_t first, end;
};

static struct range share(size_t n, const struct team_member *me)
{
    return (struct range){n * me->index / me->members, n * (me->index + 1) / me->members};
}

static struct vec_span share_of_panels(const struct packed *w, const struct team_member *me)
{
    struct range range = share(packed_panels(w), me);
    return (struct vec_span){.first = range.first, .end = range.end};
}

/* Copy the states of some rows of one cell between the rows' own memory and the padded buffers of the run. */
static void load_states(const struct run *run, const struct rnn_cell *cell, size_t offset, struct range rows)
{
    size_t units = cell->units, stride = cell->padded_units;
    for (size_t r = rows.first; r < rows.end; r++) {
        float *h = run->h + r * stride, *c = run->c + r * stride;
        memcpy(h, run->states[r] + offset, units * sizeof *h);
        memset(h + units, 0, (stride - units) * sizeof *h);
        if (cell->class->states > 1)
            memcpy(c, run->states[r] + offset + units, units * sizeof *c);
        else
            memset(c, 0, stride * sizeof *c);
        memset(c + units, 0, (stride - units) * sizeof *c);
    }
}

/* A row's final state is that of the last step in which it is active. */
static void store_states(const struct run *run, const struct rnn_cell *cell, size_t offset, struct range rows,
                         const float *h)
{
    size_t units = cell->units, stride = cell->padded_units;
    for (size_t t = 0; t < run->steps; t++) {
        size_t next = t + 1 < run->steps ? run->active[t + 1] : 0;
        for (size_t r = next > rows.first ? next : rows.first; r < run->active[t] && r < rows.end; r++) {
            memcpy(run->states[r] + offset, h + r * stride, units * sizeof *h);
            if (cell->class->states > 1)
                memcpy(run->states[r] + offset + units, run->c + r * stride, units * sizeof *h);
        }
        h += run->active[t] * stride;
    }
}

/* ResidualWrapper: output + input, after the states are stored. Source: keras/layers/rnn/cell_wrappers.py. */
static void add_inputs(const struct rnn_cell *cell, struct range row_steps, const float *x, size_t x_stride, float *out)
{
    for (size_t i = row_steps.first; i < row_steps.end; i++)
        for (size_t u = 0; u < cell->units; u++)
            out[i * cell->padded_units + u] += (float)cell->residuals * x[i * x_stride + u];
}

/* The steps of one cell, the panels of span in each. Every other pass goes through the weights backwards. */
static void run_steps(const struct run *run, const struct rnn_cell *cell, struct vec_span span, float *out,
                      struct team_member *meet)
{
    struct cell_step step = {
        .h_prev = run->h, .z = run->z, .h = out, .c = run->c, .scratch = run->scratch, .span = span};
    for (size_t t = 0; t < run->steps; t++) {
        step.rows = run->active[t];
        step.span.reverse = t % 2;
        cell->class->step(cell, &step);
        if (meet)
            team_meet(meet);
        step.h_prev = step.h;
        step.z += step.rows * packed_columns(&cell->kernel);
        step.h += step.rows * cell->padded_units;
    }
}

/* Each member multiplies the inputs of the whole chunk by its panels, then come the steps. The members meet where one
   reads what another has written. */
static void run_cell(const struct run *run, size_t i, const float *x, size_t x_stride, float *out,
                     struct team_member *me)
{
    const struct rnn_cell *cell = &run->stack->cells[i];
    const size_t offset = run->stack->state_offsets[i];
    struct range rows = share(run->active[0], me);
    load_states(run, cell, offset, rows);
    cell->vec->product(&cell->kernel, share_of_panels(&cell->kernel, me), run->row_steps, x, x_stride, cell->start, 0,
                       run->z);
    team_meet(me);
    if (me->members > 1 && cell->splits && step_ns(cell, run->active[0]) >= MIN_STEP_NS)
        run_steps(run, cell, share_of_panels(&cell->recurrent, me), out, me);
    else if (me->index == 0)
        run_steps(run, cell, vec_all(&cell->recurrent), out, NULL);
    team_meet(me);
    store_states(run, cell, offset, rows, out);
    team_meet(me);
    if (cell->residuals) {
        add_inputs(cell, share(run->row_steps, me), x, x_stride, out);
        team_meet(me);
    }
}

/* Slice by slice: while a cell takes slice j the one above it takes slice j - 1. A member takes every members-th cell, all
   of its step, and keeps its states in the rows' own memory from slice to slice. */
static void run_wave(const struct run *run, struct team_member *me)
{
    const struct rnn_stack *stack = run->stack;
    size_t n = stack->n_cells, slices = run->steps < SLICES_PER_CELL * n ? run->steps : SLICES_PER_CELL * n;
    size_t rows = run->active[0], stride = stack->max_units;
    struct run mine = *run;
    mine.h += me->index * rows * stride;
    mine.c += me->index * rows * stride;
    mine.scratch += me->index * (rows + 2) * stack->max_columns;
    for (size_t phase = 0; phase < slices + n - 1; phase++) {
        for (size_t i = me->index; i < n && i <= phase; i += me->members) {
            size_t slice = phase - i, first = run->steps * slice / slices, before = 0;
            if (slice >= slices)
                continue;
            for (size_t t = 0; t < first; t++)
                before += run->active[t];
            mine.active = run->active + first;
            mine.steps = run->steps * (slice + 1) / slices - first;
            mine.row_steps = 0;
            for (size_t t = 0; t < mine.steps; t++)
                mine.row_steps += mine.active[t];
            mine.z = run->z + before * stack->max_columns;
            size_t x_stride = i ? stride : stack->input_size;
            const float *x = (i ? run->outputs[(i - 1) % 2] : run->x) + before * x_stride;
            run_cell(&mine, i, x, x_stride, run->outputs[i % 2] + before * stride, &(struct team_member){.members = 1});
        }
        team_meet(me);
    }
}

static void run_cells(void *argument, struct team_member *me)
{
    const struct run *run = argument;
    size_t wave = wave_of(run->stack);
    if (me->members > 1 && wave > 1 && me->members <= wave) {
        run_wave(run, me);
        return;
    }
    const float *x = run->x;
    size_t x_stride = run->stack->input_size;
    for (size_t i = 0; i < run->stack->n_cells; i++) {
        float *out = run->outputs[i % 2];
        run_cell(run, i, x, x_stride, out, me);
        x = out;
        x_stride = run->stack->cells[i].padded_units;
    }
}

const float *rnn_stack_run(const struct rnn_stack *stack, size_t steps, const size_t *active, const float *x,
                           float *const *states, struct arena *arena, struct team *team, size_t *output_stride)
{
    size_t rows = active[0], last = stack->n_cells - 1;
    struct run run = {.stack = stack, .steps = steps, .active = active, .x = x, .states = states};
    for (size_t t = 0; t < steps; t++)
        run.row_steps += active[t];
    run.z = arena_alloc(arena, run.row_steps * stack->max_columns, sizeof *run.z);
    for (size_t i = 0; i < 2; i++)
        run.outputs[i] = arena_alloc(arena, run.row_steps * stack->max_units, sizeof *run.z);
    size_t wave = wave_of(stack);
    run.h = arena_alloc(arena, wave * rows * stack->max_units, sizeof *run.h);
    run.c = arena_alloc(arena, wave * rows * stack->max_units, sizeof *run.c);
    run.scratch = arena_alloc(arena, wave * (rows + 2) * stack->max_columns, sizeof *run.scratch);
    unsigned long long saved = vec_denormals_off();
    team_run(team, (double)steps * rnn_stack_step_ns(stack, rows), run_cells, &run);
    vec_denormals_restore(saved);
    *output_stride = stack->cells[last].padded_units;
    return run.outputs[last % 2];
}
